"""Benchmarks: one module per question, with ratios to a limit or to a peer measured in the same run."""
