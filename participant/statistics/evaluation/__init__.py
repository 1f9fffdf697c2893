"""Answers a query: parses it, finds its statistic, computes, hides what is below the floor, describes.

Start with `evaluate.py`; `registry.py` lists the statistics. It sits on top of the statistics and is the only folder
that daemons and analyses need to call.
"""
