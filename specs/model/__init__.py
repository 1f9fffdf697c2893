"""Epoch and round as a model, searched exhaustively: python -m specs.model. It shares no code with `secagg`."""
