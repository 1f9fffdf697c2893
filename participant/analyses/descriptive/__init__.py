"""Descriptions of columns: moments, quantiles, histograms.

One file per analysis, found by `participant.analyses.catalogue`. May import regression, survival, sums and base.
"""
