"""Decides what this site allows: rules, suppression of near answers, budget and schedule, explained in plain words.

Start with `rules.py`, the policy file. `answer.py` is the only way from a dataset to a vector, `differencing.py` keeps
answers apart from earlier ones. May import records, data, study and statistics.
"""
