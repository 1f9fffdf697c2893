"""Secure aggregation: a coordinator learns sums over many sites, and nobody learns a single site's vector."""

__version__ = "0.1.0"
