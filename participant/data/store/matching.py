"""Finds the equal rows of two versions of a dataset by their contents, since a row has no other identity.

Rows are compared by 64-bit hashes under a fresh seed: among five million rows, two different ones are taken for equal
with a probability below one in a million.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def matched(old: Path, new: Path, columns: Sequence[str]) -> NDArray[np.int64]:
    """Return for each row of the new table the number of the old row with the same contents, or -1.

    Rows that occur several times are matched one to one, in their order.

    Args:
        old, new: Parquet files.
        columns: columns of both to compare; without any, no rows match.

    Returns:
        (rows of the new table,) int64.
    """
    if not columns:
        return np.full(pl.scan_parquet(new).select(pl.len()).collect().item(), -1, np.int64)
    seed = secrets.randbits(63)
    return pair(_hashes(old, columns, seed), _hashes(new, columns, seed))


def pair(old: Hashes, new: Hashes) -> NDArray[np.int64]:
    """Return for each new value the position of an equal old one, each used once, or -1."""
    old_order, new_order = np.argsort(old, kind="stable"), np.argsort(new, kind="stable")
    old_sorted, new_sorted = old[old_order], new[new_order]
    nth = np.arange(len(new)) - np.searchsorted(new_sorted, new_sorted)  # its rank among equal values
    place = np.searchsorted(old_sorted, new_sorted) + nth
    there = place < np.searchsorted(old_sorted, new_sorted, side="right")
    found = np.full(len(new), -1, np.int64)
    found[new_order[there]] = old_order[place[there]]
    return found


def _hashes(path: Path, columns: Sequence[str], seed: int) -> Hashes:
    table = pl.scan_parquet(path)
    kinds = table.collect_schema()
    # A later import may have found another type for the same values.
    same = [pl.col(name).cast(pl.Float64 if kinds[name].is_numeric() else pl.String) for name in columns]
    return table.select(pl.struct(same).hash(seed)).collect(engine="streaming").to_series().to_numpy()
