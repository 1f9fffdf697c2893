"""Settings, the file that holds them, passphrase, key backups, and what a command opens: identity, relay, journal.

Start with `config.py`, which imports no transport. May import policy, records and data.
"""
