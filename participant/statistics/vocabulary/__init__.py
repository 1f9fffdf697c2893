"""The vocabulary: one statistic a file, with its formula, bounds, disclosure and source.

Start with `moments.py`, a short one; to add one, register it in `participant.statistics.evaluation.registry`. May
import models and language.
"""
