"""Sums that several analyses ask for: second moments, moments by group, cross tables, quantiles.

Coroutines over a `SecureSum` that give numbers and no result of their own. May import base alone.
"""
