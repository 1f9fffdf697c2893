"""A coordinator at work: settings, identity, relay, journal and metrics, opened together.

Start with `session.py`. `config.py` alone is enough to read settings, and imports no transport. May import the journal.
"""
