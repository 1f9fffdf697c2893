"""Quantiles of a quantity over the rows of all sites, from secure histograms whose edges close in on them.

The quantile at share a of n rows is the ceil(a n)-th smallest value, rounded up to a grid of the agreed width:

    q = the least point of the grid at or below which ceil(a n) rows lie

This inverts the empirical distribution. It is exact for values on the grid (ages in whole years), and off by less than
the width for others. No series of rounds discloses more than counts on this grid.

A round asks for the counts between a few edges inside each quantile's bracket (lo, hi], which contains it. A site with
few rows between two edges hides these rows (`participant.statistics.evaluation.suppression`), so a round counts only
some rows. Let h be the number of hidden rows, of the n that a first round counts by an edge at the top. At an edge with
c visible rows at or below it, the true number is between c and c + h; so

    lo = the last edge with c + h < ceil(a n)         hi = the first edge with c >= ceil(a n)

hold wherever the hidden rows are. Without a floor, a round asks for hundreds of edges, and two rounds suffice. With a
floor, the first rounds ask for as many edges as should leave enough rows between them; later ones for one edge in each
bracket; and the last ones for a single edge, at the middle or a quarter of a bracket. A bracket that stays open is
returned as it is, with a warning: the floor hides the rest. If a site is lost, the search starts over with the
remaining sites.

Sources: Hyndman, Fan 1996, Am Stat 50:361, definition 1; Willenborg, de Waal 2001, "Elements of Statistical Disclosure
Control", section 1.4, for bounds on suppressed counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.declared import refusal
from participant.analyses.base.errors import SpecError
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.registry import HISTOGRAM
from participant.statistics.language.layout import Array
from participant.statistics.vocabulary.histogram import MAX_EDGES, MAX_GRID, HistogramParams, Measured, Predicted

ROOM = 4  # average number of rows that a bin should hold at each site, as a multiple of the floor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantiles:
    """Quantiles at some shares; arrays are (Q,).

    Attributes:
        values: grid points; each quantile lies in (lower, value].
        lower: lower ends, one width below the values, or further if the floor hides the rest.
        known: whether each quantile is known to within the width.
        rows: number of rows.
        outside: number of values clipped to the quantity's range.
        sites: names of the contributing sites.
        warnings: warnings about quantiles that are not known to within the width.
    """

    values: Array
    lower: Array
    known: NDArray[np.bool_]
    rows: int
    outside: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]


async def find_quantiles(
    spec: TableSpec, secure_sum: SecureSum, quantity: Measured | Predicted, shares: Sequence[float], width: float
) -> Quantiles:
    """Return a quantity's quantiles at `shares`, each above 0 and at most 1, on a grid from the start of its range.

    Raises:
        NoRowsError: across all sites, no row meets the filter and has all values.
        SpecError: the grid has too many points, or none.
    """
    low, high = quantity.bounds
    points = ceil((high - low) / width * (1 - 1e-12))
    if not points <= MAX_GRID:
        raise SpecError(f"a width of {width:g} divides {low:g} to {high:g} into more than {MAX_GRID} steps; widen it")

    async def search(over: SecureSum) -> Quantiles:
        brackets = _Search(spec, over, quantity, np.array(shares), width, points)
        await brackets.close()
        return brackets.found()

    return await over_one_cohort(search, secure_sum)


class _Search:
    """The brackets (lo, hi] of all quantiles, as grid points; -1 is below all values."""

    def __init__(
        self,
        spec: TableSpec,
        secure_sum: SecureSum,
        quantity: Measured | Predicted,
        shares: Array,
        width: float,
        points: int,
    ) -> None:
        self._spec, self._secure_sum, self._quantity = spec, secure_sum, quantity
        self._shares, self._width, self._points = shares, width, points
        self._lo = np.full(len(shares), -1)
        self._hi = np.full(len(shares), points)

    async def close(self) -> None:
        """Close the brackets as far as the sites' floor allows.

        Raises:
            NoRowsError: there are no rows.
        """
        self._whole = await self._counts([self._points])
        self._rows = float(self._whole.values["counts"].sum())
        if not self._rows:
            hidden = self._spec.warn_of_withheld(self._whole.values)
            raise refusal("across all sites, no row meets the filter and has all values", hidden)
        self._ranks = np.maximum(np.ceil(self._shares * self._rows - 1e-9), 1)
        many = self._many()
        while len(self._open) and await self._ask(self._open, many):
            pass
        while len(self._open) and await self._ask(self._open, [1 / 2]):
            pass
        for one in self._open:
            alone = np.array([one])
            while one in self._open and any([await self._ask(alone, [at]) for at in (1 / 2, 1 / 4, 3 / 4)]):
                pass

    def found(self) -> Quantiles:
        low, high = self._quantity.bounds
        values = np.minimum(low + self._width * self._hi, high)
        lower = np.maximum(low + self._width * self._lo, low)
        name = self._quantity.words
        return Quantiles(
            values=values,
            lower=lower,
            known=self._hi - self._lo == 1,
            rows=round(self._rows),
            outside=round(float(self._whole.values["outside"])),
            sites=self._whole.sites,
            warnings=(
                *self._spec.warn_of_withheld(self._whole.values),
                *(
                    f"the quantile of {name} at {self._shares[i]:g} is only known to be between {lower[i]:g} and "
                    f"{values[i]:g}, because the sites hide small groups"
                    for i in self._open
                ),
            ),
        )

    @property
    def _open(self) -> NDArray[np.intp]:
        return np.flatnonzero(self._hi - self._lo > 1)

    def _many(self) -> list[float]:
        """Return where to place the edges in a bracket, as shares of it."""
        most = MAX_EDGES // len(self._shares)
        floor = self._spec.minimum_persons
        if floor > 1:
            at_a_site = self._rows / len(self._whole.sites) / (len(self._shares) + 1)
            most = min(max(int(at_a_site / (ROOM * floor)), 1), most)
        return [(i + 1) / (most + 1) for i in range(most)]

    async def _ask(self, brackets: NDArray[np.intp], places: list[float]) -> bool:
        """Ask for the counts at these places in some brackets; return whether any bracket shrank."""
        edges = sorted(
            {
                min(max(int(lo + place * (hi - lo)), lo + 1), hi - 1)
                for lo, hi in zip(self._lo[brackets].tolist(), self._hi[brackets].tolist(), strict=True)
                for place in places
            }
        )
        answer = await self._counts(edges)
        shown = np.cumsum(answer.values["counts"])
        hidden = self._rows - shown[-1]
        before = (self._hi - self._lo).sum()
        for edge, below in zip(edges, shown[:-1], strict=True):
            self._lo = np.where(below + hidden < self._ranks, np.maximum(self._lo, edge), self._lo)
            self._hi = np.where(below >= self._ranks, np.minimum(self._hi, edge), self._hi)
        return bool((self._hi - self._lo).sum() < before)

    async def _counts(self, edges: Sequence[int]) -> Sum:
        params = HistogramParams(
            quantity=self._quantity,
            by=(),
            origin=self._quantity.bounds[0],
            width=self._width,
            edges=tuple(edges),
            sums=False,
            row_limit=self._spec.row_limit,
        )
        return await self._secure_sum(self._spec.ask(HISTOGRAM, params, self._secure_sum.value_bits))
