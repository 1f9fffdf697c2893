"""What is hidden: one rule for a site's own sums and for the opened sums of all sites.

The floor f is the query's `minimum_persons`, the same at all sites; a policy can require one. Sums are *small* if

- a cell of a block that counts disjoint groups holds 1 to f - 1 persons;
- 1 to f - 1 persons stand behind a sum, or a difference of sums, of values (`Statistic.support`);
- one person contributes more than the share `DOMINANCE` of such a sum.

`hidden` returns the entries that must not be shown. Small cells are hidden with others: all cells of at most t rows and
the sums over them, for the smallest t of at least f - 1 for which the k hidden cells together hold more than k (f - 1)
and more than f rows, or all rows. Cells of equal size are hidden together, so that no order discloses which of two is
the small one. Small support hides every entry of the query, since score and information, say, mean nothing alone.

Where only the sites open a sum (mode `he`), they apply the rule to the opened sum. In mode `masks` nobody but the
coordinator sees it, so every site applies the rule to its own sums, and if anything is hidden it answers zeros
throughout: a table without some of its cells would bias every result. Such zeros would go unnoticed, so two lanes are
summed like everything else:

    asked    = persons whom the query covers at the site; 0 if there are fewer than f
    answered = the same, or 0 if the site's sums are zeros

Their sums differ by the number of persons at the sites that hid their sums. No lane counts these sites: a count of few
sites, read for two queries, would show on which side of the floor one site is.

Every other lane that counts persons is a cell, beside the persons whom it does not count (`rounded`). If either holds 1
to f - 1 persons at a site, it is rounded to 0 or f at random, so that its expectation is right. Lanes that tell an
analysis to ask again with another limit always report f instead of 1 to f - 1 (`Block.few`).

What this guarantees, for f >= 3: from the cells shown and the number of rows (which the other sites of a sum
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

from participant.statistics.language.draws import drawn, uniform
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.support import Support

ASKED = "asked"
ANSWERED = "answered"
POOLED = "pooled"
"""Name of the array that says that the floor held over all sites (`pooled`)."""
DOMINANCE = 0.5
"""Share of a sum beyond which one person's contribution dominates it."""

Masks = Mapping[str, NDArray[np.bool_]]


def counting(layout: Layout) -> tuple[Block, ...]:
    """Return the blocks that count disjoint groups of persons."""
    return tuple(block for block in layout.blocks if block.cells == block.name)


def lanes(limit: float) -> tuple[Block, ...]:
    """Return the blocks that count the persons whom a query covers, and those in the sums; `limit` rows at most."""
    return (Block(ASKED, (), limit, exact=True), Block(ANSWERED, (), limit, exact=True))


def hidden(layout: Layout, arrays: Arrays, support: Support, floor: int) -> Masks:
    """Return which entries of a statistic's blocks must not be shown, in the shapes of the blocks.

    Args:
        layout: layout of the statistic.
        arrays: its arrays, of one site or opened over all sites.
        support: support of these arrays; over all sites only its `persons` are known, as the largest contribution does
            not add up.
        floor: least number of persons that an entry may stand for.
    """
    if is_small(support, floor):
        return {block.name: np.ones(block.shape, np.bool_) for block in layout.blocks}
    cells = {block.name: hides(arrays[block.name], floor) for block in counting(layout)}
    return {
        block.name: np.broadcast_to(cells[block.cells] if block.cells else np.False_, block.shape)
        for block in layout.blocks
    }


def is_small(support: Support, floor: int) -> bool:
    """Return whether fewer persons than the floor stand behind some sum, or one person dominates it."""
    few = (support.persons > 0) & (support.persons < floor)
    dominated = support.largest > DOMINANCE * support.total
    return bool(few.any() or dominated.any())


def hides(counts: Array, floor: int) -> NDArray[np.bool_]:
    """Return a mask of the cells to hide, in the shape of `counts`."""
    mask: NDArray[np.bool_] = (counts > 0) & (counts < floor)
    if not mask.any():
        return mask
    for level in np.unique(np.maximum(counts, floor - 1)):
        mask = (counts > 0) & (counts <= level)
        if counts[mask].sum() > max(floor, np.count_nonzero(mask) * (floor - 1)):
            break
    return mask


def rounded(layout: Layout, arrays: Arrays, rows: int, floor: int, seed: int) -> dict[str, Array]:
    """Return the arrays with lanes of persons (`Block.few`) that show no group below the floor.

    Args:
        layout: layout of the statistic.
        arrays: its arrays.
        rows: number of persons of whom the lanes count some; 0, or at least the floor.
        floor: least number of persons that a lane may count, or leave out.
        seed: seed of the rounding, 0 to 2^64 - 1; whoever knows it knows more about small groups.
    """
    return {
        block.name: _rounded(block, arrays[block.name], rows, floor, seed ^ place) if block.few else arrays[block.name]
        for place, block in enumerate(layout.blocks)
    }


def zeros(layout: Layout) -> dict[str, Array]:
    """Return the arrays of a site that hides its sums."""
    return {block.name: np.zeros(block.shape) for block in layout.blocks}


def _rounded(block: Block, counts: Array, rows: int, floor: int, seed: int) -> Array:
    chance = uniform(drawn([np.arange(counts.size, dtype=np.float64)], seed)).reshape(counts.shape)
    if block.few == "some":
        chance = np.zeros_like(chance)
    if rows < 2 * floor:  # no number of persons leaves the floor on both sides
        return np.where(chance * rows < counts, rows, 0.0)
    left = rows - counts
    few, many = (counts > 0) & (counts < floor), (left > 0) & (left < floor)
    some = np.where(few, np.where(chance * floor < counts, floor, 0.0), counts)
    return np.where(many, rows - np.where(chance * floor < left, floor, 0.0), some)
