"""Answering a query: parse it, find its statistic, compute, hide small groups, and describe the query in words.

Start with `evaluate.py`; `registry.py` lists the statistics. This folder builds on the statistics, and is the only one
that daemons and analyses need to call.
"""
