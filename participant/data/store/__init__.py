"""Stored datasets: versions on disk, how they are verified, loaded and dropped.

Start with `store.py`; `matching.py` tells which rows of two versions are the same. May import steps and model.
"""
