"""Ranks of values on an agreed grid, from counts of the rows in its cells.

Rows in one cell of the grid are tied and share the mean of their ranks, as in a pooled table of values rounded to the
grid. With t_c rows in cell c, in ascending order, and T = sum of t_c^3 - t_c:

    midrank of cell c = sum of t_b over b < c, plus (t_c + 1) / 2

Counts are whole numbers and exact, so the ranks are those of all rows.

Source: Lehmann 2006, "Nonparametrics", section 1.4, for ties.
"""

from math import ceil
from typing import NamedTuple

from participant.analyses.base.errors import SpecError
from participant.statistics.language.layout import Array
from participant.statistics.vocabulary.histogram import MAX_EDGES


class Ranks(NamedTuple):
    """The midrank of each cell, (C,), the number of rows, and the sum of t^3 - t over cells of t rows."""

    midranks: Array
    rows: float
    ties: float

    @classmethod
    def of(cls, counts: Array) -> "Ranks":
        """Return the ranks of rows counted in ascending cells, (C,)."""
        midranks: Array = counts.cumsum() - counts + (counts + 1) / 2
        return cls(midranks, float(counts.sum()), float((counts**3 - counts).sum()))


def steps_between(low: float, high: float, width: float) -> int:
    """Return the number of steps of a grid from `low` to at least `high`.

    Raises:
        SpecError: there are too many.
    """
    steps = ceil((high - low) / width * (1 - 1e-12))
    if steps > MAX_EDGES:
        raise SpecError(f"a width of {width:g} divides {low:g} to {high:g} into more than {MAX_EDGES} steps; widen it")
    return steps
