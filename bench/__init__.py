"""Measurements: one module a question, ratios against a limit or a peer in the same run."""
