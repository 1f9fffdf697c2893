"""Drop duplicates: rows with the same declared key count as one.

Without a key, nothing is dropped, since two patients may agree in every column of a narrow table; such rows are
counted. With one, a row that repeats an earlier row in every cell is left out, and rows that agree in the key but
differ elsewhere are all left out: only the site can say which is right. Each is listed.

Rows are compared by 64-bit hashes under a key drawn for each import: among 5 million rows, two that differ look alike
with a probability of less than one in a million, and no file can be crafted to cause it.
"""

import secrets
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from participant.data.sources import Fault

Hashes = NDArray[np.uint64]


class Duplicates:
    """Gathers hashes while the rows are read."""

    def __init__(self) -> None:
        self._seed = secrets.randbits(63)
        self._lines: list[NDArray[np.int64]] = []
        self._whole: list[Hashes] = []
        self._keyed: list[Hashes] = []
        self._keys: list[Hashes] = []

    def add(self, lines: pl.Series, cells: pl.DataFrame, key: Sequence[str]) -> None:
        """Take a batch of stripped cells."""
        whole = self._hash(cells)
        self._whole.append(whole)
        if key:
            there = ~cells.select(pl.any_horizontal(pl.col(key).is_null())).to_series().to_numpy()
            self._lines.append(lines.to_numpy()[there])
            self._keyed.append(whole[there])
            self._keys.append(self._hash(cells.select(key))[there])

    def repeated(self) -> int:
        """Return how many rows equal an earlier one in every cell."""
        whole = _joined(self._whole)
        return len(whole) - pl.Series(whole).n_unique()

    def found(self) -> list[tuple[Fault, bool]]:
        """Return the rows to leave out, and whether each only repeats another; none without a key."""
        if not self._keys:
            return []
        lines, keys, whole = np.concatenate(self._lines), _joined(self._keys), _joined(self._keyed)
        order = np.argsort(keys, kind="stable")  # rows with the same key keep their order
        keys, whole, lines = keys[order], whole[order], lines[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.array([], int)
        sizes = np.diff(np.append(starts, len(keys)))
        faults = []
        for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
            first, same = int(lines[start]), whole[start : start + size]
            if (same == same[0]).all():
                again = lines[start + 1 : start + size]
                faults += [(Fault(int(line), f"the same as line {first}"), True) for line in again]
            else:
                reason = f"the key is that of {size} rows that differ, first on line {first}"
                faults += [(Fault(int(line), reason), False) for line in lines[start : start + size]]
        return faults

    def _hash(self, cells: pl.DataFrame) -> Hashes:
        return cells.hash_rows(seed=self._seed).to_numpy()


def _joined(hashes: list[Hashes]) -> Hashes:
    return np.concatenate(hashes) if hashes else np.array([], np.uint64)
