"""What keeps one party from the share of others: request filter, rates, budget of bodies, turns at the database.

All of it is memory of one process. `request_filter.py` comes first in a request. May import core alone.
"""
