"""From cells of text to typed columns: integer, real or text.

Nothing is guessed from a part of the rows. A column is numeric if every cell is a number; a number with a leading zero,
or with more digits than a double holds, is taken as a code and stays text, unless the column is declared numeric.
"""

from collections.abc import Collection
from enum import StrEnum

import polars as pl

from participant.data.errors import NotNumericError
from participant.statistics import MissingColumnsError

_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?$"
_CODE = r"^[+-]?(?:0[0-9]|[0-9]{16})"
_INTEGER = r"^[+-]?[0-9]{1,15}$"  # exact as a double
_SHOWN = 5


class Kind(StrEnum):
    """Type of a column. Integers are stored as int64, reals as float64; both are numeric."""

    INTEGER = "integer"
    REAL = "real"
    TEXT = "text"


def typed(
    cells: pl.DataFrame, *, dataset: str, missing: Collection[str] = (), numeric: Collection[str] = ()
) -> pl.DataFrame:
    """Return the columns with their types; missing values are null.

    Args:
        cells: columns of text, null where a cell is empty.
        dataset: its name, for the error.
        missing: codes that stand for a missing value as an empty cell does.
        numeric: columns that must be numeric.

    Raises:
        MissingColumnsError: a column of `numeric` is not there.
        NotNumericError: it holds something else than finite numbers.
    """
    if absent := set(numeric) - set(cells.columns):
        raise MissingColumnsError(dataset, absent)
    present = cells.select(pl.when(~pl.all().is_in(list(missing))).then(pl.all()).name.keep())
    return pl.DataFrame([_typed_column(column, declared=column.name in numeric) for column in present])


def kind(column: pl.Series) -> Kind:
    """Return the type of a typed column."""
    if column.dtype == pl.Int64:
        return Kind.INTEGER
    return Kind.REAL if column.dtype == pl.Float64 else Kind.TEXT


def _typed_column(column: pl.Series, *, declared: bool) -> pl.Series:
    cells = column.drop_nulls()
    numbers = cells.str.contains(_NUMBER)
    if declared and not numbers.all():
        raise _not_numeric(column, column.str.contains(_NUMBER))
    if not numbers.all() or (not declared and cells.str.contains(_CODE).any()):
        return column
    if len(cells) and cells.str.contains(_INTEGER).all():
        return column.cast(pl.Int64)
    reals = column.cast(pl.Float64)
    if reals.is_infinite().any():  # beyond the range of a double
        if declared:
            raise _not_numeric(column, reals.is_finite())
        return column
    return reals


def _not_numeric(column: pl.Series, good: pl.Series) -> NotNumericError:
    rows = (~good).fill_null(value=False).arg_true()
    return NotNumericError(column.name, len(rows), [row + 2 for row in rows.head(_SHOWN)])  # line 1 is the header
