"""Converts columns that a source has typed as a whole to the types that the steps know.

Whole numbers become Int64, reals Float64; dates and booleans stay. Dates lose their time of day, and durations become
seconds: both changes are counted for the report.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import time

import polars as pl

from participant.data.model.errors import SourceError
from participant.data.sources import SourceColumn, positions

_NANOSECONDS = 1e9
_DIGITS = 15  # significant decimal digits that a double keeps


class TypedColumns:
    """Converts batches to plain types.

    Args:
        schema: schema of the source.
        place: location of the table, for errors.

    Raises:
        SourceError: a column holds lists, structures or bytes.
    """

    def __init__(self, schema: Mapping[str, pl.DataType], place: str) -> None:
        if odd := [name for name, kind in schema.items() if kind.is_nested() or kind in (pl.Binary, pl.Object)]:
            raise SourceError(f"{len(odd)} columns of {place} hold lists, structures or bytes; flatten it first")
        self._kinds = list(schema.values())
        self._times: Counter[int] = Counter()
        self._rounded: Counter[int] = Counter()

    def plain(self, columns: Sequence[pl.Series]) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
        """Return columns in plain types, named by position, and numbers beside those that became text."""
        cells, numbers = [], {}
        for position, (name, values) in enumerate(zip(positions(len(columns)), columns, strict=True)):
            cells.append(self._plain(position, values).alias(name))
            if _is_wide(values.dtype):
                numbers[name] = values.cast(pl.Int64, strict=False)
        return pl.DataFrame(cells), numbers

    def known(self) -> Mapping[int, SourceColumn]:
        """Return notes on changes to the columns."""
        found = {}
        for position, kind in enumerate(self._kinds):
            notes = []
            if times := self._times[position]:
                notes.append(f"time of day left out of {times:,} dates")
            if rounded := self._rounded[position]:
                notes.append(f"{rounded:,} decimals have more digits than a double: rounded to the nearest")
            duration = isinstance(kind, pl.Duration)
            if duration:
                notes.append("durations are seconds")
            found[position] = SourceColumn(
                unit="s" if duration else "", notes=tuple(notes), text=kind in (pl.String, pl.Categorical, pl.Enum)
            )
        return found

    def _plain(self, position: int, values: pl.Series) -> pl.Series:
        kind = values.dtype
        if isinstance(kind, pl.Datetime):
            self._times[position] += int((values.dt.time() != time(0, 0)).sum())
            return values.dt.date()
        if isinstance(kind, pl.Duration):
            return values.dt.total_nanoseconds().cast(pl.Float64) / _NANOSECONDS
        if isinstance(kind, pl.Decimal) and kind.scale:
            numbers = values.cast(pl.Float64)
            if kind.precision > _DIGITS:
                digits = values.cast(pl.String).str.replace_all(r"^[-0.]+|\.|0+$", "").str.len_chars()
                self._rounded[position] += int((digits > _DIGITS).sum())
            return numbers
        if kind in (pl.Boolean, pl.Date):
            return values
        if kind.is_float():
            return values.cast(pl.Float64)
        if kind.is_integer() and not _is_wide(kind):
            return values.cast(pl.Int64)
        return values.cast(pl.String)


def _is_wide(kind: pl.DataType) -> bool:
    """Return whether whole numbers of a type may be too large for signed 64 bits."""
    return kind in (pl.UInt64, pl.Int128, pl.UInt128) or (isinstance(kind, pl.Decimal) and not kind.scale)
