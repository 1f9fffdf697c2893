"""The language of queries: statistic, columns, conditions, layout and bounds of the answer, disclosure.

Start with `query.py` and `layout.py`. This is the participant's lowest layer: it imports nothing but `secagg`.
"""
