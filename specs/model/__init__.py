"""Epoch and round as a model, searched state by state: python -m specs.model. It shares no code with `secagg`."""
