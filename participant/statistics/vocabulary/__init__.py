"""The vocabulary: one statistic per file, with its formula, bounds, disclosure and source.

Start with `moments.py`, a short one; to add a statistic, register it in `participant.statistics.evaluation.registry`.
May import models and language.
"""
