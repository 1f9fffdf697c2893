"""Stored datasets: verifies, loads and drops their versions on disk.

Start with `store.py`; `matching.py` finds the equal rows of two versions. May import steps and model.
"""
