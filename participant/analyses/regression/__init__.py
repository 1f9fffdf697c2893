"""Regression: linear, generalised linear, penalised, ordinal and negative binomial.

One file per analysis, found by `participant.analyses.catalogue`. Start with `glm.py`, on which most of them rest. May
import sums and base, but not survival.
"""
