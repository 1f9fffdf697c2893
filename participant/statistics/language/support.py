"""Support: how many persons stand behind a site's sums, and how much one of them contributes.

Counts of cells show their own support. A sum of values does not: an indicator that is 0 for all but two rows makes a
sum over two persons. A statistic therefore names the groups of rows that its sums, or differences of its sums, stand
for, and the sizes that rows contribute to its entries.

Both are judged by raw values: a centred covariate is nonzero for everyone, and yet its sum, together with the number of
rows, shows the sum over the few for whom the column itself is not 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from participant.statistics.language.layout import Array

Groups = NDArray[np.bool_]


class Support(NamedTuple):
    """The support of the sums over some rows.

    Attributes:
        persons: (g,) whole numbers, persons in each group; adds up over rows and over sites.
        total: (e,) sums of nonnegative contributions; adds up likewise.
        largest: (e,) largest contribution of one person to each of these sums.
    """

    persons: Array
    total: Array
    largest: Array

    @classmethod
    def none(cls) -> "Support":
        """Return the support of no sums."""
        return cls(np.zeros(0), np.zeros(0), np.zeros(0))

    @classmethod
    def of_sums(cls, sizes: Array) -> "Support":
        """Return the support of sums over all rows, without their groups; `sizes` as in `of`."""
        return cls.of(np.zeros((0, sizes.shape[1]), np.bool_), sizes)

    @classmethod
    def of(cls, groups: Groups, sizes: Array | None = None) -> "Support":
        """Return the support of rows that belong to groups and contribute to sums.

        Args:
            groups: (g, rows) bool, whether each row belongs to each group.
            sizes: (e, rows) contributions to each sum; their signs do not matter.
        """
        persons = np.count_nonzero(groups, axis=1).astype(np.float64)
        given = np.abs(sizes) if sizes is not None else np.zeros((0, groups.shape[1]))
        return cls(persons, given.sum(axis=1), given.max(axis=1, initial=0.0))

    def joined(self, other: "Support") -> "Support":
        """Return the support of two sets of rows together."""
        return Support(self.persons + other.persons, self.total + other.total, np.maximum(self.largest, other.largest))

    def beside(self, other: "Support") -> "Support":
        """Return the support of two families of groups and sums over the same rows."""
        return Support(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


def common(groups: Groups) -> Array:
    """Return the numbers of rows that each two groups share, each group with itself included, (g (g + 1) / 2,).

    These are the cells of all two-way tables of the groups: what a Gram matrix of indicators shows.
    """
    members = groups.astype(np.float32)  # exact for as many rows as one piece has
    shared = members @ members.T
    return shared[np.triu_indices(len(groups))].astype(np.float64)


def binned(cell: NDArray[np.intp], cells: int, sizes: Array) -> Support:
    """Return the support of sums by cell, without its groups, which the cells' own counts show.

    Args:
        cell: (rows,) cell of each row.
        cells: number of cells.
        sizes: (k, rows) contributions to each sum.
    """
    given = np.abs(sizes)
    largest = np.zeros((len(given), cells))
    for most, size in zip(largest, given, strict=True):
        np.maximum.at(most, cell, size)
    total = [np.bincount(cell, size, cells) for size in given]
    return Support(np.zeros(0), np.array(total, np.float64).reshape(-1), largest.reshape(-1))
