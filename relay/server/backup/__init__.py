"""Backups: make one, restore one, move to PostgreSQL.

Start with `make.py` and `restore.py`; `archive.py` is the file's form. May import registry, store, payloads, core, and
of http the reading of keys.
"""
