"""A site's records: ledger, decisions, results, receipts, logs of runs.

Each module is the only writer of its tables in the journal; `ledger.py` declares them all, in the order of their
migrations. Start there: it also holds the hash chain of all that left. May import statistics and the relay's client.
"""
