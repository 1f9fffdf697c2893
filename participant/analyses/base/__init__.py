"""What all analyses share: specification, secure sum, result, summary, errors, and pieces of statistics.

Start with `spec.py` and `result.py`. May import `participant.statistics`, and no other folder of analyses.
"""
