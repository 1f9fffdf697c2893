"""Common parts of all analyses: specification, secure sum, result, summary, errors, and statistical helpers.

Start with `spec.py` and `result.py`. May import `participant.statistics`, and no other folder of analyses.
"""
