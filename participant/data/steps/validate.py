"""Validate: cells become values, and each that does not is told with its reason."""

from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

from participant.data.model.description import ColumnKind
from participant.data.steps.types import BOOLEANS, Reading, parse_date, parse_numbers

_TRUE = [*(pair[0] for pair in BOOLEANS), "1"]
_FALSE = [*(pair[1] for pair in BOOLEANS), "0"]
FORMULA = r"^(?:=|[+\-@].*[(!|])"
"""A text that a spreadsheet would run. A lone sign, as laboratories write it, is none."""


class Complaint(NamedTuple):
    """Cells of a column that are not what they should be: a mask over the rows, and why."""

    rows: pl.Series
    reason: str


class Checked(NamedTuple):
    """Values of a column, null where a cell is missing or bad, and the complaints."""

    values: pl.Series
    complaints: tuple[Complaint, ...]


def check(cells: pl.Series, reading: Reading) -> Checked:
    """Return the values of a batch of stripped cells."""
    gone = cells.is_null() | cells.is_in(list(reading.missing))
    if reading.tokens:
        gone |= cells.str.to_lowercase().is_in(list(reading.tokens))
    gone = gone.fill_null(value=True)
    present = _where(cells, ~gone)
    values, found = _READ[reading.kind](present, reading)
    complaints = [*found]
    if reading.required and gone.any():
        complaints.append(Complaint(gone, "no value, and one is required"))
    return Checked(values.alias(reading.name), tuple(one for one in complaints if one.rows.any()))


def _numbers(cells: pl.Series, reading: Reading) -> tuple[pl.Series, Iterator[Complaint]]:
    values, unknown = _parsed(cells, reading)
    whole = values.is_null() | (values == values.round())

    def complaints() -> Iterator[Complaint]:
        yield Complaint(cells.is_not_null() & values.is_null() & ~unknown, "no number")
        yield Complaint(unknown, "a number with a unit that is not declared")
        if reading.kind is ColumnKind.INTEGER:
            yield Complaint(~whole | (values.abs() > 2**53).fill_null(value=False), "no whole number")
        if reading.low is not None:
            yield Complaint((values < reading.low).fill_null(value=False), f"below {reading.low:g}")
        if reading.high is not None:
            yield Complaint((values > reading.high).fill_null(value=False), f"above {reading.high:g}")

    if reading.kind is ColumnKind.REAL:
        return values, complaints()
    return _where(values, whole & (values.abs() <= 2**53).fill_null(value=False)).cast(pl.Int64), complaints()


def _parsed(cells: pl.Series, reading: Reading) -> tuple[pl.Series, pl.Series]:
    """Return numbers, null where a cell is none, and where a cell is one in an unknown unit."""
    simple = cells if reading.decimal == "." else _where(cells, ~cells.str.contains(".", literal=True))
    values = simple.cast(pl.Float64, strict=False)
    values = _where(values, values.is_finite())
    left = cells.is_not_null() & values.is_null()
    unknown = pl.repeat(value=False, n=len(cells), dtype=pl.Boolean, eager=True)
    if not left.any():
        return values, unknown
    rows = left.arg_true()
    parsed, units = parse_numbers(cells.gather(rows), reading.decimal)
    units = units.fill_null(reading.unit)
    factors = {reading.unit: 1.0} | {unit: one.factor for unit, one in reading.units.items()}
    offsets = {reading.unit: 0.0} | {unit: one.offset for unit, one in reading.units.items()}
    factor = units.replace_strict(factors, default=None, return_dtype=pl.Float64)
    converted = parsed * factor + units.replace_strict(offsets, default=None, return_dtype=pl.Float64)
    converted = _where(converted, converted.is_finite())
    unknown = unknown.scatter(rows, parsed.is_not_null() & factor.is_null())
    return values.scatter(rows, converted), unknown


def _booleans(cells: pl.Series, _reading: Reading) -> tuple[pl.Series, Iterator[Complaint]]:
    words = cells.str.to_lowercase()
    true, false = words.is_in(_TRUE), words.is_in(_FALSE)
    return _where(true, true | false), iter([Complaint(cells.is_not_null() & ~(true | false), "neither yes nor no")])


def _categories(cells: pl.Series, reading: Reading) -> tuple[pl.Series, Iterator[Complaint]]:
    values = cells.replace_strict(dict(reading.categories or {}), default=None, return_dtype=pl.Int64)
    return values, iter([Complaint(cells.is_not_null() & values.is_null(), "not one of the declared categories")])


def _dates(cells: pl.Series, reading: Reading) -> tuple[pl.Series, Iterator[Complaint]]:
    values = parse_date(cells, reading.formats[0])
    for form in reading.formats[1:]:
        values = values.zip_with(values.is_not_null(), parse_date(cells, form))
    reason = f"no date written as {' or '.join(reading.formats)}"
    return values, iter([Complaint(cells.is_not_null() & values.is_null(), reason)])


def _text(cells: pl.Series, _reading: Reading) -> tuple[pl.Series, Iterator[Complaint]]:
    formula = cells.str.contains(FORMULA).fill_null(value=False)
    return _where(cells, ~formula), iter([Complaint(formula, "begins like a formula that a spreadsheet would run")])


def _where(values: pl.Series, rows: pl.Series) -> pl.Series:
    """Return the values in these rows, null elsewhere."""
    return values.set(~rows.fill_null(value=False), None)


_READ = {
    ColumnKind.INTEGER: _numbers,
    ColumnKind.REAL: _numbers,
    ColumnKind.BOOLEAN: _booleans,
    ColumnKind.CATEGORY: _categories,
    ColumnKind.DATE: _dates,
    ColumnKind.TEXT: _text,
}
