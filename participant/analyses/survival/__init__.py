"""Survival analysis: Kaplan-Meier, log-rank, Cox and its test of proportional hazards.

One file per analysis, found by `participant.analyses.catalogue`; `partial_likelihood.py` has the formulas of Cox's
model. May import sums and base, but not regression.
"""
