"""Validate: turn cells into values, and report each failure with its reason."""

from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

from participant.data.model.description import ColumnKind
from participant.data.steps.dates import parse_dates, parse_moments
from participant.data.steps.numbers import parse_numbers
from participant.data.steps.types import Reading
from participant.data.steps.words import BOOLEANS

_TRUE = [*(pair[0] for pair in BOOLEANS), "1"]
_FALSE = [*(pair[1] for pair in BOOLEANS), "0"]
_EXACT = 2**53
FORMULA = r"^(?:=|[+\-@].*[(!|])"
"""Text that a spreadsheet would run. A lone sign, as laboratories write it, is not such text."""


class Complaint(NamedTuple):
    """Bad cells of a column: a mask over the rows, and the reason."""

    rows: pl.Series
    reason: str


class Checked(NamedTuple):
    """Values of a column, null where a cell is missing or bad, and the complaints."""

    values: pl.Series
    complaints: tuple[Complaint, ...]


def check(cells: pl.Series, reading: Reading, numbers: pl.Series | None = None) -> Checked:
    """Return the values of a batch of cells.

    Args:
        cells: stripped text, or values that the source has typed.
        reading: reading of the column.
        numbers: for a text column, the cells that the source has typed as numbers; null for others.
    """
    gone = cells.is_null()
    if cells.dtype == pl.String:
        if reading.coded:
            gone |= reading.missing.among(cells, units=reading.kind is not ColumnKind.TEXT)
        if reading.tokens:
            gone |= cells.str.to_lowercase().is_in(list(reading.tokens)).fill_null(value=False)
        if numbers is not None:
            gone |= reading.missing.equal(numbers)
    elif cells.dtype.is_numeric():
        gone |= reading.missing.equal(cells)
        if not reading.declared and cells.dtype == pl.Float64:
            gone |= ~cells.is_finite().fill_null(value=False)
    present = cells if gone.sum() == cells.null_count() else _where(cells, ~gone)
    values, found = _READ[reading.kind](present, reading, numbers)
    complaints = [*found]
    if reading.required and gone.any():
        complaints.append(Complaint(gone, "no value, and one is required"))
    return Checked(values.alias(reading.name), tuple(one for one in complaints if one.rows.any()))


def as_text(cells: pl.Series) -> pl.Series:
    """Return cells as text: whole numbers without a decimal point, others with as many digits as they need."""
    if cells.dtype == pl.String:
        return cells
    if cells.dtype == pl.Boolean:
        return cells.cast(pl.String)
    if cells.dtype == pl.Float64:
        whole = (cells == cells.round()) & (cells.abs() < _EXACT)
        return (
            _where(cells, whole)
            .cast(pl.Int64)
            .cast(pl.String)
            .zip_with(whole.fill_null(value=False), cells.cast(pl.String))
        )
    return cells.cast(pl.String)


def _all_there(values: pl.Series, cells: pl.Series) -> bool:
    """Return whether each cell with a content has a value, so that there is nothing to complain about."""
    return values.null_count() == cells.null_count()


class _Parsed(NamedTuple):
    """Numbers of a column, null for a missing or other cell, and masks of the cells that are not plainly a number.

    Attributes:
        values: numbers, in the column's unit.
        coded: cells that are a code for a missing value.
        strange: cells with an unknown unit.
        doubtful: cells that can be read as two numbers.
    """

    values: pl.Series
    coded: pl.Series
    strange: pl.Series
    doubtful: pl.Series


def _numbers(cells: pl.Series, reading: Reading, numbers: pl.Series | None) -> tuple[pl.Series, Iterator[Complaint]]:
    values, coded, strange, doubtful = _parsed(cells, reading, numbers)
    if reading.kind is ColumnKind.REAL and reading.low is reading.high is None and _all_there(values, cells):
        return values, iter(())
    whole = values.is_null() | (values == values.round())

    def complaints() -> Iterator[Complaint]:
        yield Complaint(cells.is_not_null() & values.is_null() & ~(coded | strange | doubtful), "not a number")
        yield Complaint(strange, "a number with a unit that is not declared")
        yield Complaint(doubtful, "a number that can be read in two ways: declare decimal")
        if reading.kind is ColumnKind.INTEGER:
            yield Complaint(~whole | (values.abs() > _EXACT).fill_null(value=False), "not a whole number")
        if reading.low is not None:
            yield Complaint((values < reading.low).fill_null(value=False), f"below {reading.low:g}")
        if reading.high is not None:
            yield Complaint((values > reading.high).fill_null(value=False), f"above {reading.high:g}")

    if reading.kind is ColumnKind.REAL:
        return values, complaints()
    return _where(values, whole & (values.abs() <= _EXACT).fill_null(value=False)).cast(pl.Int64), complaints()


def _parsed(cells: pl.Series, reading: Reading, numbers: pl.Series | None) -> _Parsed:
    nowhere = pl.repeat(value=False, n=len(cells), dtype=pl.Boolean, eager=True)
    bare = reading.units.get("")  # for numbers without a unit, if the source has its own
    values = _plain(cells, reading.decimal)
    if numbers is not None:
        typed = _where(numbers.cast(pl.Float64), cells.is_not_null())
        values = typed.zip_with(typed.is_not_null(), values)
    if bare is not None:
        values = values * bare.factor + bare.offset
    if cells.dtype != pl.String or _all_there(values, cells):
        return _Parsed(values, nowhere, nowhere, nowhere)
    left = cells.is_not_null() & values.is_null()
    rows = left.arg_true()
    parsed, units = parse_numbers(cells.gather(rows), reading.decimal or ".")
    two = nowhere.gather(rows)
    if reading.decimal is None:
        comma, other = parse_numbers(cells.gather(rows), ",")
        two = (parsed != comma).fill_null(value=False)
        parsed = _where(parsed.zip_with(parsed.is_not_null(), comma), ~two)
        units = units.zip_with(units.is_not_null(), other)
    coded = reading.missing.equal(parsed)
    units = units.fill_null("" if bare is not None else reading.unit)
    factors = {reading.unit: 1.0} | {unit: one.factor for unit, one in reading.units.items()}
    offsets = {reading.unit: 0.0} | {unit: one.offset for unit, one in reading.units.items()}
    factor = units.replace_strict(factors, default=None, return_dtype=pl.Float64)
    converted = parsed * factor + units.replace_strict(offsets, default=None, return_dtype=pl.Float64)
    return _Parsed(
        values.scatter(rows, _where(_finite(converted), ~coded)),
        nowhere.clone().scatter(rows, coded),  # scatter works in place
        nowhere.clone().scatter(rows, parsed.is_not_null() & factor.is_null() & ~coded),
        nowhere.clone().scatter(rows, two),
    )


def _plain(cells: pl.Series, decimal: str | None) -> pl.Series:
    """Return the numbers in cells that hold nothing else, null for others."""
    if cells.dtype == pl.Date:
        return pl.repeat(None, len(cells), dtype=pl.Float64, eager=True)
    if cells.dtype == pl.String and decimal != ".":
        cells = _where(cells, ~cells.str.contains(".", literal=True))
    return _finite(cells.cast(pl.Float64, strict=False))


def _booleans(cells: pl.Series, _reading: Reading, _numbers: pl.Series | None) -> tuple[pl.Series, Iterator[Complaint]]:
    if cells.dtype == pl.Boolean:
        return cells, iter([])
    words = as_text(cells).str.to_lowercase()
    true, false = words.is_in(_TRUE), words.is_in(_FALSE)
    return _where(true, true | false), iter([Complaint(cells.is_not_null() & ~(true | false), "neither yes nor no")])


def _categories(
    cells: pl.Series, reading: Reading, _numbers: pl.Series | None
) -> tuple[pl.Series, Iterator[Complaint]]:
    known = dict(reading.categories or {})
    if cells.dtype != pl.String and not reading.declared:  # the source has labelled its numbers
        values = _where(cells.cast(pl.Int64), cells.is_in(list(known.values())))
    else:
        values = as_text(cells).replace_strict(known, default=None, return_dtype=pl.Int64)
    return values, iter([Complaint(cells.is_not_null() & values.is_null(), "not one of the declared categories")])


def _dates(cells: pl.Series, reading: Reading, _numbers: pl.Series | None) -> tuple[pl.Series, Iterator[Complaint]]:
    if cells.dtype == pl.Date:
        return _where(cells, ~cells.is_in(list(reading.missing.days))), iter([])
    texts = as_text(cells)
    parse = parse_moments if reading.moments else parse_dates
    values = parse(texts, reading.formats[0])
    for form in reading.formats[1:]:
        values = values.zip_with(values.is_not_null(), parse(texts, form))
    reason = f"not a date written as {' or '.join(reading.formats)}"
    complaint = Complaint(cells.is_not_null() & values.is_null(), reason)
    return _where(values, ~values.is_in(list(reading.missing.days))), iter([complaint])


def _text(cells: pl.Series, _reading: Reading, numbers: pl.Series | None) -> tuple[pl.Series, Iterator[Complaint]]:
    texts = as_text(cells)
    formula = texts.str.contains(FORMULA).fill_null(value=False)
    if numbers is not None:
        formula &= numbers.is_null()
    return _where(texts, ~formula), iter([Complaint(formula, "begins like a formula that a spreadsheet would run")])


def _finite(values: pl.Series) -> pl.Series:
    return values if values.is_finite().all() else _where(values, values.is_finite())


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
