"""Sums that several analyses ask for: second moments, moments by group, cross tables, ranks, quantiles.

They are coroutines over a `SecureSum` that return numbers rather than results. May import only base.
"""
