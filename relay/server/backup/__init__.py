"""Backups: make one, restore one, move to PostgreSQL.

Start with `make.py` and `restore.py`; `archive.py` defines the file format. May import registry, store, payloads, core,
and from http the parsing of keys.
"""
