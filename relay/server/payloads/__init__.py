"""Sealed payloads: in a folder or in an object store, behind one interface.

Start with `payload_store.py`; `open.py` is the only place that chooses between them. May import core.
"""
