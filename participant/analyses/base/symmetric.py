"""Symmetric matrices, of which statistics send only the upper triangle."""

import numpy as np

from participant.statistics.language.layout import Array


def symmetric(upper: Array, p: int) -> Array:
    """Return the (p, p) matrix of an upper triangle given by rows."""
    matrix = np.empty((p, p))
    rows, columns = np.triu_indices(p)
    matrix[rows, columns] = matrix[columns, rows] = upper
    return matrix
