"""Variables with a declared range, which makes the bounds of sums provable.

A value outside the range is clipped and counted: the count is summed over the sites with everything
else. A site that refused instead would disclose to relay and coordinator that one of its patients is unusual, and
filters would then let them find out which one. A count across all sites is enough for the analyst to correct the range.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat, model_validator

from participant.statistics.language.conditions import Name, Strict
from participant.statistics.language.layout import Array
from participant.statistics.language.statistic import Columns


class Variable(Strict):
    """A numeric column and the declared range [low, high] of its values, in the column's units."""

    column: Name
    low: FiniteFloat
    high: FiniteFloat

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < self.high or not np.isfinite(self.high - self.low):
            raise ValueError("the range needs low < high")
        return self


class Coded(NamedTuple):
    """A factor, term or design, evaluated for some rows.

    Attributes:
        z: (p, rows) float64, inside the declared ranges.
        outside: for each column of the table, whether each value is outside the range or levels, (rows,) bool.
    """

    z: Array
    outside: Mapping[str, NDArray[np.bool_]]


class Bounded(NamedTuple):
    """Values clipped to their ranges, (p, rows), and the number of clipped values of each variable, (p,)."""

    values: Array
    outside: Array


def bounded(variables: Sequence[Variable], columns: Columns) -> Bounded:
    """Return the variables' values, clipped to the declared ranges."""
    given = np.array([columns[variable.column] for variable in variables])
    low = np.array([[variable.low] for variable in variables])
    high = np.array([[variable.high] for variable in variables])
    outside = np.count_nonzero((given < low) | (given > high), axis=1)
    return Bounded(np.clip(given, low, high), outside.astype(np.float64))


def distinct(variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """Validate that no column is listed twice."""
    if len({variable.column for variable in variables}) != len(variables):
        raise ValueError("a variable is listed twice; list each once")
    return variables
