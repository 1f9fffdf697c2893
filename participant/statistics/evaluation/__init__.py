"""Answering a query: parse it, name its statistic, compute, hide what is below the floor, describe.

Start with `evaluate.py`; `registry.py` lists the statistics. On top of the statistics, and the only folder that daemons
and analyses need to call.
"""
