"""Small groups, hidden inside the sum.

A site whose rows are too few, or too few in one cell, must not stay away: that would tell it (`evaluate`). It puts
zeros instead, and counts that it did, in lanes of their own that are summed like everything else. The floor f is
`minimum_persons` of the query, the same at all sites; a policy can ask for one.

Withheld: a site puts zeros throughout and adds 1 to `withheld` if its sums would stand for a group of 1 to f - 1 rows
(`Statistic.persons`), or for fewer than three rows for each parameter of a model (`Statistic.parameters`): sums that
determine a model with as many parameters as rows determine the rows.

Suppressed: where a block counts disjoint groups, its cells, a site that has a cell of 1 to f - 1 rows puts zero for all
cells of at most t rows, and for the sums that belong to them, and adds 1 to `suppressed` for this block. The level t is
the least one from f - 1 on at which the k cells that are hidden hold more than k (f - 1) and more than f rows together
- or all rows. Cells of one size are hidden together, so that no order tells which of two is the small one.

What that gives, for f >= 3: from the cells of one site and its number of rows (which the other sites of a sum could
know if all of them told each other theirs) no union of cells is known to hold a certain number of rows between 1 and f
- 1. The tests search all small tables for a counter-example. For f = 2 there are some: a lone pair of cells with a row
each.

What it does not give. Somebody may still learn that some cell is small. A zero may be a true one. Above all, rules for
one release say nothing about several: two filters that differ in one patient, each over many, tell about that patient
by difference. A site keeps the rows of its answers apart by its ledger (`participant.policy.differencing`). A range or
bound that moves by little from one query to the next, over the same rows, is left to terms that fix what may be asked.

Sources: Hundepool et al. 2012, "Statistical Disclosure Control", sections 4.2 and 5.2; DataSHIELD's `nfilter.tab` and
`nfilter.glm` for floors in use.
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
    """Return the blocks that say at how many sites something was withheld, or suppressed in each counting block."""
    withheld = Block(WITHHELD, (), 1.0, exact=True)
    counted = len(counting(layout))
    return (withheld, Block(SUPPRESSED, (counted,), 1.0, exact=True)) if counted else (withheld,)


def suppress(layout: Layout, arrays: Arrays, floor: int) -> dict[str, Array]:
    """Return the arrays with small cells hidden, and the lane that says so."""
    hidden = {block.name: hides(arrays[block.name], floor) for block in counting(layout)}
    result = dict(arrays)
    for block in layout.blocks:
        if block.cells:
            result[block.name] = np.where(hidden[block.cells], 0.0, arrays[block.name])
    if hidden:
        result[SUPPRESSED] = np.array([cells.any() for cells in hidden.values()], np.float64)
    return result


def hides(counts: Array, floor: int) -> NDArray[np.bool_]:
    """Return which cells a site hides, of the shape of `counts`."""
    hidden: NDArray[np.bool_] = (counts > 0) & (counts < floor)
    if not hidden.any():
        return hidden
    for level in np.unique(np.maximum(counts, floor - 1)):
        hidden = (counts > 0) & (counts <= level)
        if counts[hidden].sum() > max(floor, np.count_nonzero(hidden) * (floor - 1)):
            break
    return hidden


def zeros(layout: Layout) -> Mapping[str, Array]:
    """Return what a site puts that withholds: zeros, and one in the lane that says so."""
    return {block.name: np.full(block.shape, float(block.name == WITHHELD)) for block in layout.blocks}
