"""Turns values that a source types one by one (a sheet, a document, a driver) into columns of a batch."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite, isnan
from typing import Any
from uuid import UUID

import polars as pl

from participant.data.model.errors import SourceError
from participant.data.sources import MAX_CELL_CHARS, Batch, Fault, SourceColumn, positions

_EXACT = 2**53
_DIGITS = 15  # significant decimal digits that a double keeps


class CellBatches:
    """Makes batches from Python values, and remembers how it changed them.

    Args:
        header: names of the columns, for errors.
        whole: whether a float without a fraction is a whole number, as in a sheet, which has no others.
    """

    def __init__(self, header: Sequence[str], *, whole: bool = False) -> None:
        self._header = tuple(header)
        self._whole = whole
        self._rounded: Counter[int] = Counter()
        self._durations: Counter[int] = Counter()

    def batch(
        self, columns: Sequence[Sequence[Any]], lines: pl.Series, *, faults: Iterable[Fault] = (), read: int
    ) -> Batch:
        """Return a batch.

        Args:
            columns: values of each column.
            lines: numbers of the rows in the source.
            faults, read: as in `Batch`.

        Raises:
            SourceError: a value is not a single one.
        """
        names = positions(len(self._header))
        cells: dict[str, pl.Series] = {}
        numbers: dict[str, pl.Series] = {}
        for position, (name, values) in enumerate(zip(names, columns, strict=True)):
            cells[name], typed = self._column(position, values)
            if typed is not None:
                numbers[name] = typed
        return Batch(lines, pl.DataFrame(cells, dict.fromkeys(names, pl.String)), faults, read, numbers)

    def known(self) -> Mapping[int, SourceColumn]:
        """Return notes on changes to the columns."""
        found = {}
        for position in range(len(self._header)):
            notes = []
            if rounded := self._rounded[position]:
                notes.append(f"{rounded:,} decimals have more digits than a double: rounded to the nearest")
            if durations := self._durations[position]:
                notes.append(f"{durations:,} durations are seconds")
            found[position] = SourceColumn(unit="s" if durations else "", notes=tuple(notes), text=True)
        return found

    def _column(self, position: int, values: Sequence[Any]) -> tuple[pl.Series, pl.Series | None]:
        texts: list[str | None] = []
        numbers: list[int | float | None] = []
        for value in values:
            text, number = self._cell(position, value)
            texts.append(text)
            numbers.append(number)
        cells = pl.Series(texts, dtype=pl.String)
        if all(one is None for one in numbers):
            return cells, None
        whole = all(one is None or isinstance(one, int) for one in numbers)
        return cells, pl.Series(numbers, dtype=pl.Int64 if whole else pl.Float64, strict=False)

    def _cell(self, position: int, value: Any) -> tuple[str | None, int | float | None]:
        """Return a value as text, and as a number if a double can hold it."""
        match value:
            case None:
                return None, None
            case bool():
                return ("true" if value else "false"), None
            case int():
                return str(value), (value if abs(value) <= _EXACT else None)
            case float():
                return self._real(value)
            case Decimal():
                return self._decimal(position, value)
            case str():
                if len(value) > MAX_CELL_CHARS or "\0" in value:
                    raise SourceError(
                        f"column {self._header[position]!r} holds a text of more than {MAX_CELL_CHARS:,} characters, "
                        "or NUL"
                    )
                return value, None
            case datetime():
                return value.isoformat(" "), None
            case date() | time():
                return value.isoformat(), None
            case timedelta():
                self._durations[position] += 1
                return self._real(value.total_seconds())
            case UUID():
                return str(value), None
        raise SourceError(
            f"column {self._header[position]!r} holds a {type(value).__name__}, which is not a single value; leave it "
            "out, or make it one in the source"
        )

    def _real(self, value: float) -> tuple[str | None, int | float | None]:
        if not isfinite(value):
            return (None if isnan(value) else "inf" if value > 0 else "-inf"), None
        if value.is_integer() and abs(value) < _EXACT:
            return str(int(value)), (int(value) if self._whole else value)
        return repr(value), value

    def _decimal(self, position: int, value: Decimal) -> tuple[str | None, int | float | None]:
        if not value.is_finite():
            return self._real(float(value))
        if value == value.to_integral_value():
            return f"{value.to_integral_value():f}", (float(value) if abs(value) <= _EXACT else None)
        self._rounded[position] += len(value.normalize().as_tuple().digits) > _DIGITS
        return format(value, "f"), float(value)
