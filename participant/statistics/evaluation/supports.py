"""Lanes that only the sites see: how many persons stand behind a pooled sum, and how much one of them contributes.

With pooled floors a site hides nothing of its own. It sends the support of its numbers along, the sites open it with
the sum, judge by it what may be published (`pooled`), and never publish the lanes themselves:

    support_persons = persons in each group that a sum, or a difference of sums, stands for     (g,)
    support_total   = t, the persons' nonnegative contributions to each judged entry            (2, e)
    support_fourth  = m^4, m the largest contribution of one person                             (6, e)
    support_secret  = 40 bits that follow from the site's rows, to round small counts at random ()

Over s sites the fourth root of the sum of m^4 is at least the largest contribution, and at most s^(1/4) times as much.
Judging by it errs on the safe side, but little: among many sites with two persons each it hides nothing.

Both numbers are whole multiples of several units, whatever precision the query asks for. Numbers beyond the bound in
one unit are clipped there, and read in the next; in the last one they count as infinite.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.statistic import Columns, Statistic
from participant.statistics.language.support import Support

PERSONS, TOTAL, FOURTH, SECRET = PRIVATE = ("support_persons", "support_total", "support_fourth", "support_secret")
"""Names of the lanes."""
_UNITS: Mapping[str, Array] = {
    TOTAL: np.exp2(np.arange(-20.0, 44.0, 32.0)),
    FOURTH: np.exp2(np.arange(-40.0, 152.0, 32.0)),
}
_SPARE_BITS = 24
_BOUND = 2.0**44  # so that each number is precise to 2^-12 in the finest unit in which it is not clipped


def lanes(statistic: Statistic[Any], params: Any) -> tuple[Block, ...]:
    """Return the blocks of a statistic's support."""
    support = statistic.pooled_support(params, {name: np.zeros(0) for name in statistic.columns(params)})
    entries = len(support.total)
    return (
        Block(PERSONS, support.persons.shape, float(params.row_limit), exact=True),
        *(Block(name, (len(units), entries), _BOUND, exact=True) for name, units in _UNITS.items()),
        Block(SECRET, (), _BOUND, exact=True),
    )


def vector(statistic: Statistic[Any], params: Any, columns: Columns, secret: int) -> Array:
    """Return a site's support as the last entries of its vector; `secret` has 64 bits."""
    persons, total, largest = statistic.pooled_support(params, columns)
    sizes = {TOTAL: total, FOURTH: largest**4}
    parts = (np.rint(np.minimum(size / _UNITS[name][:, np.newaxis], _BOUND)).ravel() for name, size in sizes.items())
    return np.concatenate([persons, *parts, [float(secret >> _SPARE_BITS)]])


def of(arrays: Arrays) -> Support:
    """Return the support in an opened sum; `largest` is a bound."""
    total, fourth = (_finest(arrays[name], units) for name, units in _UNITS.items())
    return Support(arrays[PERSONS], np.minimum(total, np.finfo(np.float64).max), fourth**0.25)


def without(layout: Layout) -> Layout:
    """Return the layout of what may be published."""
    return Layout(tuple(block for block in layout.blocks if block.name not in PRIVATE))


def _finest(multiples: Array, units: Array) -> Array:
    """Return numbers as read in the finest unit in which no site clipped them; infinite if one did in all."""
    found = np.full(multiples.shape[1], np.inf)
    for of_unit, unit in zip(multiples[::-1], units[::-1], strict=True):
        found = np.where(of_unit < _BOUND, of_unit * unit, found)
    return found
