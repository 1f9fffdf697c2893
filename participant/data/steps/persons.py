"""Replace person identifiers by running numbers; the identifiers are not stored."""

import secrets

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Persons:
    """Gathers hashes of a column under a key drawn for each import, and numbers them by first appearance."""

    def __init__(self) -> None:
        self._seed = secrets.randbits(63)
        self._hashes: list[NDArray[np.uint64]] = []

    def add(self, identifiers: pl.Series) -> None:
        """Take a batch of stripped cells."""
        self._hashes.append(identifiers.hash(self._seed).to_numpy())

    def numbers(self) -> list[pl.Series]:
        """Return the person's number for each row, from 1, batch by batch."""
        if not self._hashes:
            return []
        _, first, inverse = np.unique(np.concatenate(self._hashes), return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(1, len(first) + 1)
        ends = np.cumsum([len(batch) for batch in self._hashes])[:-1]
        return [pl.Series(numbers) for numbers in np.split(rank[inverse], ends)]
