"""Descriptions of columns: moments, quantiles, histograms.

One file an analysis, found by `participant.analyses.catalogue`. May import regression,
survival, sums and base.
"""
