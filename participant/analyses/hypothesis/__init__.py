"""Hypothesis tests: t-tests, analyses of variance and covariance, correlation, ranks, and tables of categories.

One file per analysis, found by `participant.analyses.catalogue`. May import regression, survival, sums and base.
"""
