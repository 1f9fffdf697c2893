"""Secure range finding: the size of another statistic's entries at the sites, in powers of two.

A bound proven from declared ranges is valid but often far too wide, and a fixed-point encoding that must reach it is
coarse near zero. A short round of this statistic finds a valid tighter bound, so that nobody has to guess. For each
group g of the other statistic's real entries that share a proven bound 2^E (`Layout.exponents`), and j = 0 ... T - 1:

    above = number of sites with an entry of |x| > 2^(E - 1 - j) in the group      (G, T)      whole numbers

The first j with a nonzero count gives the range: every site's entries of the group are at most 2^(E - j), or
2^(E - T) if all counts are zero (`found`). A query with these exponents as its `ranges` is answered within them.
For the same rows and parameters, no entry exceeds them. If rows or parameters have changed meanwhile, an entry
beyond its range is clipped and counted in `clipped`, a separate lane that is summed with the others: a sum is correct
if `clipped` is zero; otherwise the analysis asks for the range again. So nothing overflows, and no clipping goes
unnoticed. A site that refused instead would disclose that one of its patients is unusual.

The ranges disclose, to within a factor of two, how large the sites' sums are, and how many sites have sums of that
size, but not which sites.
"""

from collections.abc import Sequence
from math import ldexp
from typing import Any

import numpy as np

from participant.statistics.language.disclosure import Disclosure, Group, Reveals
from participant.statistics.language.inner import AroundParams, inner
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.query import MAX_EXPONENT, QueryError
from participant.statistics.language.statistic import Columns, Statistic
from participant.statistics.language.support import Support

CLIPPED = "clipped"
STEPS = 60  # thresholds per group: below the last, a double has no digits left relative to the proven bound


class Ranges(Statistic[AroundParams]):
    """Range finding for another statistic. Blocks: `above` (G, T).

    Args:
        of: statistics whose ranges can be requested.
    """

    name = "ranges"
    version = 2
    Params = AroundParams

    def __init__(self, of: Sequence[Statistic[Any]]) -> None:
        self._of = {statistic.name: statistic for statistic in of if not statistic.keeps_missing}

    def columns(self, params: AroundParams) -> tuple[str, ...]:
        statistic, given = self.inner(params)
        return statistic.columns(given)

    def layout(self, params: AroundParams) -> Layout:
        statistic, given = self.inner(params)
        groups = len(statistic.layout(given).exponents)
        return Layout((Block("above", (groups, STEPS), 1.0, exact=True),))

    def total(self, params: AroundParams, columns: Columns) -> Arrays:
        """Compute over all rows at once, since the ranges of pieces do not add up."""
        return self.compute(params, columns)

    def compute(self, params: AroundParams, columns: Columns) -> Arrays:
        statistic, given = self.inner(params)
        layout = statistic.layout(given)
        largest = _largest(layout, statistic.total(given, columns))
        exponents = np.array(layout.exponents)[:, np.newaxis] - 1 - np.arange(STEPS)
        return {"above": (largest[:, np.newaxis] > np.ldexp(1.0, exponents)).astype(np.float64)}

    def supported(self, params: AroundParams, columns: Columns) -> Support:
        """Return the support of the inner statistic, its cells included: both are hidden together."""
        statistic, given = self.inner(params)
        found = statistic.supported(given, columns)
        if not (counting := [block.name for block in statistic.layout(given).blocks if block.cells == block.name]):
            return found
        arrays = statistic.total(given, columns)
        return found._replace(persons=np.concatenate([found.persons, *(arrays[name].ravel() for name in counting)]))

    def persons(self, params: AroundParams, columns: Columns) -> int:
        statistic, given = self.inner(params)
        return statistic.persons(given, columns)

    def parameters(self, params: AroundParams) -> int:
        statistic, given = self.inner(params)
        return statistic.parameters(given)

    def disclosure(self, params: AroundParams) -> Disclosure:
        statistic, given = self.inner(params)
        return Disclosure(
            tells=(
                f"How large the sums of {statistic.name} are at the sites, as powers of two, and at how many sites "
                "they are that large, but never at which. The sums themselves do not show."
            ),
            groups=(
                Group(
                    blocks=("above",),
                    people="rows that meet the filter, of the site with the largest sums",
                    reveals=Reveals.COUNT,
                    one_person=False,
                ),
            ),
            minimum_rows=statistic.disclosure(given).minimum_rows,
        )

    def inner(self, params: AroundParams) -> tuple[Statistic[Any], Any]:
        """Return the statistic whose ranges are requested, and its parameters.

        Raises:
            QueryError: no statistic of that name and version has entries with ranges, or its parameters are invalid.
        """
        statistic, given = inner(self._of, params)
        if not statistic.layout(given).exponents:
            raise QueryError(f"{statistic.name} has only whole numbers here, which need no ranges")
        return statistic, given


def found(layout: Layout, above: Array) -> tuple[int, ...]:
    """Return the ranges for a query, as exponents.

    Args:
        layout: layout of the statistic whose ranges were requested.
        above: (G, T) counts, summed over the sites.
    """
    beyond = np.rint(above) > 0
    first = np.where(beyond.any(axis=1), beyond.argmax(axis=1), STEPS)
    return tuple(np.maximum(np.array(layout.exponents) - first, -MAX_EXPONENT).tolist())


def narrowed(layout: Layout, exponents: tuple[int, ...]) -> Layout:
    """Return the layout narrowed to ranges, with a lane that counts clipped entries."""
    inside = layout.narrowed(exponents)
    return Layout((*inside.blocks, Block(CLIPPED, (), float(layout.length), exact=True)))


def clipped(layout: Layout, arrays: Arrays) -> Array:
    """Return the vector of a narrowed layout, with entries beyond their ranges clipped and counted."""
    bounds = iter([ldexp(1.0, exponent) for exponent in layout.exponents])
    inside: dict[str, Array] = {CLIPPED: np.array(0.0)}
    for block in layout.blocks[:-1]:
        inside[block.name] = array = arrays[block.name]
        if block.size and not block.exact:
            bound = np.array([next(bounds) for _ in block.clips])
            if isinstance(block.clip, tuple):
                bound = bound.reshape(-1, *(1,) * (array.ndim - 1))
            inside[CLIPPED] = inside[CLIPPED] + np.count_nonzero(np.abs(array) > bound)
            inside[block.name] = np.clip(array, -bound, bound).reshape(block.shape)
    return layout.flatten(inside)


def _largest(layout: Layout, arrays: Arrays) -> Array:
    """Return the largest absolute entry of each group, (G,)."""
    return np.array(
        [
            largest
            for block in layout.blocks
            if block.size and not block.exact
            for largest in np.abs(arrays[block.name]).reshape(len(block.clips), -1).max(axis=1)
        ]
    )
