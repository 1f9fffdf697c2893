"""Hypothesis tests: t-tests, analyses of variance and covariance, chi-square, Fisher, correlation.

One file per analysis, found by `participant.analyses.catalogue`. May import regression, survival, sums and base.
"""
