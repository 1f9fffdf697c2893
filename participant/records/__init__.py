"""What a site writes down: ledger, decisions, results, receipts, logs of runs.

Each module owns its tables in the journal and is the only writer of them. Start with `ledger.py`, the hash chain of all
that left. May import statistics and the relay's client side.
"""
