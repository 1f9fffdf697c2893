"""Settings, the file that holds them, passphrase, key backups, and a command's resources: identity, relay, journal.

Start with `config.py`, which imports no transport. May import policy, records and data.
"""
