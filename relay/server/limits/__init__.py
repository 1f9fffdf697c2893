"""Limits that keep one party from starving the others: request filter, rates, body budget, turns at the database.

All state is in the memory of one process. A request meets `request_filter.py` first. May import only core.
"""
