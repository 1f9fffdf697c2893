"""The language of queries: statistic, columns, conditions, layout and bounds of the answer, disclosure.

Start with `query.py` and `layout.py`. The lowest folder of the participant: it imports nothing but `secagg`.
"""
