"""A table already in memory: a data frame, or arrays by name. For simulations."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from participant.data.model.errors import SourceError
from participant.data.sources import Batch, Origin, SourceColumn, batch_rows, check_columns
from participant.data.sources.cells import CellBatches
from participant.data.sources.typed import TypedColumns


class FrameSource:
    """A table in memory.

    Args:
        table: data frame of polars, pandas or any type that gives columns by name; or a mapping of names to arrays.
        name: name in the report.

    Raises:
        SourceError: it has no columns, they differ in length, or one does not hold single values.
    """

    decimal = None

    def __init__(self, table: Any, name: str = "table") -> None:
        self._name = name
        names = list(table.keys() if isinstance(table, Mapping) else table.columns)
        check_columns(len(names))
        self._header = tuple(str(one) for one in names)
        self._columns = [_series(table[one]) for one in names]
        if len({len(column) for column in self._columns}) > 1:
            raise SourceError(f"the columns of {name} are not equally long")
        self._cells = CellBatches(self._header)
        self._typed = TypedColumns(
            dict(
                zip(
                    self._header,
                    (pl.String() if one.dtype == pl.Object else one.dtype for one in self._columns),
                    strict=False,
                )
            ),
            name,
        )

    @property
    def header(self) -> tuple[str, ...]:
        return self._header

    @property
    def size(self) -> int:
        return len(self._columns[0])

    def batches(self) -> Iterator[Batch]:
        step = batch_rows(len(self._columns))
        for start in range(0, self.size, step):
            part = [column.slice(start, step) for column in self._columns]
            lines = pl.int_range(start + 1, start + 1 + len(part[0]), dtype=pl.Int64, eager=True)
            read = start + len(part[0])
            loose = [at for at, column in enumerate(part) if column.dtype == pl.Object]
            table, numbers = self._typed.plain(
                [pl.Series([None] * len(one), dtype=pl.String) if one.dtype == pl.Object else one for one in part]
            )
            if loose:
                values = [column.to_list() if at in loose else [None] * len(column) for at, column in enumerate(part)]
                mixed = self._cells.batch([[_python(value) for value in one] for one in values], lines, read=read)
                table = table.with_columns(mixed.cells[str(at)] for at in loose)
                numbers |= mixed.numbers
            yield Batch(lines, table, (), read, numbers)

    def known(self) -> Mapping[int, SourceColumn]:
        return {**self._typed.known(), **self._cells.known()}

    def origin(self) -> Origin:
        return Origin("frame", self._name)


def _series(column: Any) -> pl.Series:
    """Return a column as a polars series; text and mixed values stay objects, to be typed one by one."""
    if isinstance(column, pl.Series):
        return column
    array = column.to_numpy() if hasattr(column, "to_numpy") else np.asarray(column)
    if array.ndim != 1:
        raise SourceError(f"a column has {array.ndim} dimensions; give one value per row")
    if array.dtype == object or array.dtype.kind in "SU":
        return pl.Series("", array.tolist(), dtype=pl.Object)
    return pl.Series("", array)


def _python(value: Any) -> Any:
    """Return a data frame's value as a plain Python value, None if it is missing."""
    if type(value).__name__ in {"NAType", "NaTType"}:  # of pandas
        return None
    return value.item() if isinstance(value, np.generic) else value
