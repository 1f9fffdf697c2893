"""Profiles a stored table's columns for its report; one column is in memory at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from participant.data.model.description import Column, ColumnKind
from participant.statistics.language.layout import Array

BLOCKS = 100
_BINS = 30
_LEVELS = 12
_WIDEST = 1e150


class ColumnProfile(NamedTuple):
    """The profile of a column. Dates are in days since 1970.

    Attributes:
        column: description of the column.
        distinct: number of different values.
        low, quartiles, high, mean, sd: statistics of numbers and dates; None without a value.
        levels: most frequent values of any other type, and their counts.
        edges, counts: histogram of numbers and dates.
        missing: share of missing values in each block of consecutive rows.
    """

    column: Column
    distinct: int
    low: float | None = None
    quartiles: tuple[float, float, float] | None = None
    high: float | None = None
    mean: float | None = None
    sd: float | None = None
    levels: tuple[tuple[str, int], ...] = ()
    edges: Array | None = None
    counts: Array | None = None
    missing: Array | None = None


def profile(path: Path, columns: Sequence[Column]) -> tuple[ColumnProfile, ...]:
    """Return the profile of each column of a stored table."""
    return tuple(_of(pl.read_parquet(path, columns=[one.name]).to_series(), one) for one in columns)


def _of(values: pl.Series, column: Column) -> ColumnProfile:
    blocks = np.array_split(values.is_null().to_numpy(), min(BLOCKS, max(1, len(values))))
    missing = np.array([block.mean() if len(block) else 0.0 for block in blocks])
    present = values.drop_nulls()
    seen = ColumnProfile(column, present.n_unique(), missing=missing)
    if not len(present):
        return seen
    if column.kind in {ColumnKind.INTEGER, ColumnKind.REAL, ColumnKind.DATE}:
        return _number(seen, present)
    names = {number: label for label, number in (column.categories or {}).items()}
    top = present.value_counts(sort=True, name="count").head(_LEVELS)
    return seen._replace(levels=tuple((str(names.get(value, value)), count) for value, count in top.iter_rows()))


def _number(seen: ColumnProfile, present: pl.Series) -> ColumnProfile:
    numbers = present.to_physical().cast(pl.Float64).to_numpy()
    low, high = float(numbers.min()), float(numbers.max())
    if high / 2 - low / 2 > _WIDEST:  # the squares of such numbers overflow a double
        return seen._replace(low=low, high=high)
    q1, q2, q3 = (float(one) for one in np.quantile(numbers, (0.25, 0.5, 0.75)))
    counts, edges = np.histogram(numbers, _edges(low, high, whole=seen.column.kind is not ColumnKind.REAL))
    return seen._replace(
        low=low,
        quartiles=(q1, q2, q3),
        high=high,
        mean=float(numbers.mean()),
        sd=float(numbers.std(ddof=1)) if len(numbers) > 1 else None,
        edges=edges,
        counts=counts.astype(np.float64),
    )


def _edges(low: float, high: float, *, whole: bool) -> Array:
    """Return the edges of a histogram's bins; for whole numbers, all bins hold equally many of them."""
    if not whole and low < high:
        return np.linspace(low, high, _BINS + 1)
    width = max(1, -(-int(high - low + 1) // _BINS))
    return low - 0.5 + width * np.arange(int(high - low) // width + 2, dtype=np.float64)
