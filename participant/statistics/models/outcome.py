"""Times to an event on an agreed grid.

Grid time k stands for the interval ((k-1) * width, k * width], k = 1 ... count: an event within an interval counts at
the interval's end. Grid time 0 stands for time 0 alone: rows that leave there are not at risk in the first interval.
Rows beyond the last grid time are censored there. Without a grid, exact times would leave the site, nearly one for each
event; on a grid, patients share times.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from participant.statistics.language.conditions import Name, Strict
from participant.statistics.language.layout import Array
from participant.statistics.language.statistic import Columns

MAX_GRID_TIMES = 10_000
_SLACK = 1e-9  # 1.1 / 0.1 is a little more than 11 in binary and belongs to grid time 11


class Grid(Strict):
    """`count` equal intervals of `width`, in units of the time column; the first starts at 0."""

    width: FiniteFloat = Field(gt=0)
    count: int = Field(ge=1, le=MAX_GRID_TIMES)

    @property
    def times(self) -> Array:
        """Time 0 and the grid times, (count + 1,) float64."""
        return self.width * np.arange(self.count + 1, dtype=np.float64)

    def index(self, times: Array) -> NDArray[np.int64]:
        """Return the grid time of each time, 0 for time 0; count + 1 stands for later times."""
        with np.errstate(over="ignore"):  # a huge time over a tiny width is infinite, hence beyond the grid
            intervals = np.ceil(times / self.width - _SLACK)
        return np.clip(intervals, 0, self.count + 1).astype(np.int64)


class Observed(NamedTuple):
    """Rows placed on the grid.

    Attributes:
        grid_time: (rows,) int64, grid time of event or censoring; count + 1 for times beyond the grid.
        event: (rows,) bool, whether the row has an event on the grid.
        outside: (2,) float64, numbers of rows with a negative time (taken as 0), and with an event code other than 0
            and 1 (taken as 0, no event).
    """

    grid_time: NDArray[np.int64]
    event: NDArray[np.bool_]
    outside: Array


class Outcome(Strict):
    """The columns of time and event (1, or 0 for censored), and the grid."""

    time: Name
    event: Name
    grid: Grid

    def observe(self, columns: Columns) -> Observed:
        """Return the rows on the grid. Invalid values are counted, for the reason given in `variables`."""
        time, event = columns[self.time], columns[self.event]
        grid_time = self.grid.index(np.maximum(time, 0.0))
        outside = [np.count_nonzero(time < 0), np.count_nonzero((event != 0) & (event != 1))]
        return Observed(grid_time, (event == 1) & (grid_time <= self.grid.count), np.array(outside, np.float64))
