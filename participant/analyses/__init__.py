"""Analyses: pooled estimators, composed from sums over the sites."""
