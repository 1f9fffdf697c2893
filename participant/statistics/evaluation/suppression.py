"""Small groups, hidden inside the sum.

A site with too few rows, in total or in one cell, must not drop out, since that would disclose the fact (`evaluate`).
It sends zeros instead, and records this in separate lanes that are summed like everything else. The floor f is the
query's `minimum_persons`, the same at all sites; a policy can require one.

Withheld: a site sends zeros throughout and adds 1 to `withheld` if its sums would stand for a group of 1 to f - 1 rows
(`Statistic.persons`), or for fewer than three rows for each parameter of a model (`Statistic.parameters`): sums that
determine a model with as many parameters as rows also determine the rows.

Suppressed: if a block counts disjoint groups, its cells, a site with a cell of 1 to f - 1 rows sends zero for all
cells of at most t rows and for their sums, and adds 1 to `suppressed` for this block. The level t is the smallest value
of at least f - 1 for which the k hidden cells together hold more than k (f - 1) and more than f rows, or all rows.
Cells of equal size are hidden together, so that no order discloses which of two is the small one.

What this guarantees, for f >= 3: from the cells of one site and its number of rows (which the other sites of a sum
could know if they all shared theirs), no union of cells can be proven to hold a particular number of rows between 1 and
f - 1. The tests search all small tables for a counterexample. For f = 2 there are some: a lone pair of cells with one
row each.

What this does not guarantee: somebody may still learn that some cell is small. A zero may be genuine. Above all, rules
for one release do not protect a series of releases: two filters that each cover many patients, but differ by one,
disclose that patient by subtraction. A site uses its ledger to keep the rows of its answers apart
(`participant.policy.differencing`). Only terms that fix what may be asked prevent a range or bound from changing
slightly between queries over the same rows.

Sources: Hundepool et al. 2012, "Statistical Disclosure Control", sections 4.2 and 5.2; DataSHIELD's `nfilter.tab` and
`nfilter.glm`, for floors used in practice.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from participant.statistics.language.layout import Array, Arrays, Block, Layout

WITHHELD = "withheld"
SUPPRESSED = "suppressed"


def counting(layout: Layout) -> tuple[Block, ...]:
    """Return the blocks that count disjoint groups of persons."""
    return tuple(block for block in layout.blocks if block.cells == block.name)


def lanes(layout: Layout) -> tuple[Block, ...]:
    """Return the blocks that count the sites that withheld their sums, or suppressed cells of a counting block."""
    withheld = Block(WITHHELD, (), 1.0, exact=True)
    counted = len(counting(layout))
    return (withheld, Block(SUPPRESSED, (counted,), 1.0, exact=True)) if counted else (withheld,)


def suppress(layout: Layout, arrays: Arrays, floor: int) -> dict[str, Array]:
    """Return the arrays with small cells hidden, with the lanes that record the hiding."""
    hidden = {block.name: hides(arrays[block.name], floor) for block in counting(layout)}
    result = dict(arrays)
    for block in layout.blocks:
        if block.cells:
            result[block.name] = np.where(hidden[block.cells], 0.0, arrays[block.name])
    if hidden:
        result[SUPPRESSED] = np.array([cells.any() for cells in hidden.values()], np.float64)
    return result


def hides(counts: Array, floor: int) -> NDArray[np.bool_]:
    """Return a mask of the cells that a site hides, in the shape of `counts`."""
    hidden: NDArray[np.bool_] = (counts > 0) & (counts < floor)
    if not hidden.any():
        return hidden
    for level in np.unique(np.maximum(counts, floor - 1)):
        hidden = (counts > 0) & (counts <= level)
        if counts[hidden].sum() > max(floor, np.count_nonzero(hidden) * (floor - 1)):
            break
    return hidden


def zeros(layout: Layout) -> Mapping[str, Array]:
    """Return the arrays of a site that withholds its sums: zeros, except for a 1 in the lane `withheld`."""
    return {block.name: np.full(block.shape, float(block.name == WITHHELD)) for block in layout.blocks}
