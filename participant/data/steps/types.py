"""Infer types: decide each column's type from all of its cells.

Columns that a source has typed keep their type; text is inferred, and never from part of the rows. A column is numeric
if every cell is a number in the same notation; a number with a leading zero, or with more digits than a double holds,
is taken as a code and stays text. Thousands separators, a decimal comma or a unit are understood if the whole column
allows only one reading, and so are dates; where two readings are possible, the column stays text, and the report says
what to declare.
"""

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from participant.data.model.declaration import Conversion, Declaration, DeclaredColumn
from participant.data.model.description import NUMERIC, ColumnKind
from participant.data.model.errors import DeclarationError
from participant.data.model.units import is_known
from participant.data.sources import SourceColumn
from participant.data.steps.evidence import Evidence, date_formats
from participant.data.steps.missing import MissingCodes
from participant.data.steps.names import NamedColumn
from participant.data.steps.words import BOOLEANS, INFINITE, USUAL_MISSING

_SHOWN = 5
_EXACT = 2**53
_TIMES = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class Reading(NamedTuple):
    """The way in which the cells of a column become values.

    Attributes:
        column: column of the source.
        kind: type of the values.
        missing: codes of missing values.
        coded: whether some text cells hold one.
        tokens: words, in lower case, that stand for a missing value as well.
        decimal: decimal mark, or None if in doubt; a cell that can be read as two numbers is then bad.
        formats: formats of dates, in the order in which they are tried.
        moments: whether a time of day may follow a date; it is left out.
        units: conversions of other units to `unit`.
        unit, label, categories, low, high, required: facts declared or known to the source.
        declared: whether the site declared the type; then only the codes that it names are taken as missing.
        notes: notes for the report.
    """

    column: NamedColumn
    kind: ColumnKind
    missing: MissingCodes
    coded: bool = True
    tokens: frozenset[str] = frozenset()
    decimal: str | None = "."
    formats: tuple[str, ...] = ()
    moments: bool = False
    units: Mapping[str, Conversion] = {}
    unit: str = ""
    label: str = ""
    categories: Mapping[str, int] | None = None
    low: float | None = None
    high: float | None = None
    required: bool = False
    declared: bool = False
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.column.name

    def noting(self, *notes: str) -> "Reading":
        """Return the reading with more notes."""
        return self._replace(notes=(*self.notes, *notes))


def decide(
    column: NamedColumn,
    seen: Evidence,
    declared: Declaration,
    *,
    table: str | None,
    known: SourceColumn | None = None,
) -> Reading:
    """Return the reading of a column.

    Args:
        column: column of the source.
        seen: evidence from its cells.
        declared: declaration of the table.
        table: decimal mark that other columns show, if they agree.
        known: the source's knowledge about the column.

    Raises:
        DeclarationError: the declaration contradicts what the source knows.
    """
    told, known = declared.columns.get(column.name, DeclaredColumn()), known or SourceColumn()
    reading = Reading(
        column=column,
        kind=ColumnKind.TEXT,
        missing=MissingCodes.of((*declared.missing, *told.missing)),
        coded=seen.coded > 0,
        units=told.units,
        unit=told.unit or known.unit or column.unit,
        label=told.label or known.label,
        categories=told.categories or known.categories,
        low=told.low,
        high=told.high,
        required=told.required or column.name in declared.identity,
        notes=column.notes + known.notes,
    )
    if seen.coded:
        reading = reading.noting(f"{seen.coded:,} cells hold a code of missing values")
    reading = _in_declared_unit(reading, told, known)
    decimal: str | None = told.decimal or declared.decimal
    if told.kind is not None:
        return _as_declared(reading, told, seen, decimal, table)
    if seen.dtype != pl.String:
        return _as_typed(reading, seen)
    found = _inferred(reading, seen, decimal, table)
    if known.text and found.kind in NUMERIC and seen.typed < seen.numeric:
        return found.noting(f"{seen.numeric - seen.typed:,} cells are text in the source and were read as numbers")
    return found


def _in_declared_unit(reading: Reading, told: DeclaredColumn, known: SourceColumn) -> Reading:
    """Convert the source's own unit, such as the seconds of durations, to a declared one."""
    if not known.unit or not told.unit or told.unit == known.unit:
        return reading
    if known.unit in told.units:
        conversion = told.units[known.unit]
    elif {known.unit, told.unit} <= _TIMES.keys():
        conversion = Conversion(factor=_TIMES[known.unit] / _TIMES[told.unit])
    else:
        raise DeclarationError(
            f"column {reading.name} is in {known.unit} and declared in {told.unit}: say what one of the other is, "
            f"units = {{ {known.unit} = ... }}"
        )
    return reading._replace(units={**reading.units, "": conversion})  # cells without a unit of their own


def _as_declared(
    reading: Reading, told: DeclaredColumn, seen: Evidence, decimal: str | None, table: str | None
) -> Reading:
    assert told.kind is not None
    formats = told.formats or tuple(date_formats(seen)[0]) or ("%Y-%m-%d",)
    short = any("%y" in form for form in formats)
    return reading._replace(
        kind=told.kind,
        categories=told.categories,
        decimal=decimal or _mark(seen, table) if told.kind in NUMERIC else ".",
        formats=formats if told.kind is ColumnKind.DATE else (),
        moments=not told.formats,
        declared=True,
    ).noting(
        *_times_left_out(seen, formats if told.kind is ColumnKind.DATE and not told.formats else ()),
        *(["years of two digits: 00 to 69 are read as 2000 to 2069, 70 to 99 as 1970 to 1999"] if short else []),
    )


def _mark(seen: Evidence, table: str | None) -> str | None:
    """Return the one decimal mark that a column can have, None where two are possible.

    Other columns confirm a decimal mark. They never turn it into a thousands separator: `1.234` beside `2,5` stays in
    doubt.
    """
    if seen.point or seen.comma:
        return None if seen.point and seen.comma else "." if seen.point else ","
    if seen.dotted and not seen.grouped and table == ".":
        return "."
    if seen.grouped and not seen.dotted and table == ",":
        return ","
    return None if seen.dotted or seen.grouped else "."


def _as_typed(reading: Reading, seen: Evidence) -> Reading:
    """Return the reading of a column that the source has typed."""
    if seen.dtype == pl.Boolean:
        return reading._replace(kind=ColumnKind.BOOLEAN)
    if seen.dtype == pl.Date:
        return reading._replace(kind=ColumnKind.DATE)
    if reading.categories is not None:
        return reading._replace(kind=ColumnKind.CATEGORY)
    if seen.largest > _EXACT:
        return reading.noting("whole numbers that a double cannot hold: taken as codes")
    reading = reading._replace(kind=ColumnKind.REAL if seen.dtype == pl.Float64 else ColumnKind.INTEGER)
    return reading.noting(*_infinite(seen.nonfinite))


def _inferred(reading: Reading, seen: Evidence, decimal: str | None, table: str | None) -> Reading:
    if not seen.present:
        return reading._replace(kind=ColumnKind.REAL).noting("no value in any row")
    if seen.hopeless or seen.codes:
        note = f"{seen.codes:,} cells have leading zeros or 16 digits and more: taken as codes"
        return reading.noting(*([note] if seen.codes else []))
    gone = seen.gone
    if gone == seen.present:
        return reading  # a column of dashes may have a meaning
    rest = sum(seen.words.values()) - gone
    if rest:
        return _words(reading, seen, rest)
    found = _numbers(reading, seen, decimal, table) or _dates(reading, seen)
    if found is None:
        return _doubtful(reading, seen)
    if found.kind is ColumnKind.TEXT:
        return found
    tokens = frozenset(seen.words)
    told = ", ".join(f"{word} ({seen.words[word]:,})" for word in sorted(tokens - INFINITE))
    infinite = sum(seen.words[word] for word in tokens & INFINITE) + seen.nonfinite
    notes = ([f"taken as missing: {told}"] if told else []) + _infinite(infinite)
    return found._replace(tokens=tokens).noting(*notes)


def _numbers(reading: Reading, seen: Evidence, decimal: str | None, table: str | None) -> Reading | None:
    """Return the reading of a column of numbers, as text with the reason if ambiguous; None for others."""
    if seen.numeric + seen.gone != seen.present:
        return None
    mark = decimal or _mark(seen, table)
    if mark is None and seen.point and seen.comma:
        return reading.noting(
            f"{seen.point:,} numbers have a decimal point and {seen.comma:,} a decimal comma: correct the column"
        )
    if mark is None:
        return reading.noting("numbers such as 1,234 and 1.234 can be read in two ways: declare decimal = '.' or ','")
    if seen.fits(mark) + seen.gone != seen.present:
        return reading.noting(f"{seen.numeric - seen.fits(mark):,} numbers have another decimal mark than is declared")
    if powers := seen.ambiguous_powers:
        return reading.noting(f"{powers:,} cells such as 12E5 are numbers or codes: declare type = 'real' or 'text'")
    units = {unit for unit in seen.units if unit not in reading.units and unit != reading.unit}
    if strange := sorted(unit for unit in units if not is_known(unit)):
        told = ", ".join(f"{unit} ({seen.units[unit]:,})" for unit in strange[:_SHOWN])
        return reading.noting(
            f"numbers with letters that are no known unit: {told}; declare unit and units, if they are"
        )
    if units and (len(seen.units) > 1 or reading.unit):
        told = ", ".join(f"{unit} ({count:,})" for unit, count in sorted(seen.units.items())[:_SHOWN])
        beside = f" beside {reading.unit}" if reading.unit else ""
        return reading.noting(f"several units in the cells: {told}{beside}; declare unit and units")
    if seen.units:
        unit = reading.unit or next(iter(seen.units))
        bare = seen.numeric - seen.united
        note = f"unit {', '.join(sorted(seen.units))} taken out of {seen.united:,} cells"
        reading = reading._replace(unit=unit).noting(
            note + (f"; {bare:,} have none and are taken to be in {unit}" if bare else "")
        )
    if mark == "," and seen.comma + seen.grouped:
        reading = reading.noting(f"decimal comma in {seen.comma + seen.grouped:,} cells")
    if seen.thousands[mark]:
        reading = reading.noting(f"thousands separators in {seen.thousands[mark]:,} cells")
    if seen.compact == seen.present:
        reading = reading.noting("whole numbers that are dates, perhaps: declare formats = ['%Y%m%d']")
    whole = not seen.real and seen.whole + seen.wholes[mark] + seen.typed == seen.numeric
    if whole and seen.largest > _EXACT:
        return reading.noting("whole numbers that a double cannot hold: taken as codes")
    return reading._replace(kind=ColumnKind.INTEGER if whole else ColumnKind.REAL, decimal=mark)


def _dates(reading: Reading, seen: Evidence) -> Reading | None:
    formats, total = date_formats(seen)
    if not formats or total + seen.gone != seen.present:
        return None
    if sum(formats.values()) > total:
        rivals = " or ".join(f"['{form}']" for form in formats if form.startswith(("%d", "%m")))
        return reading.noting(f"dates such as 03/04/2020 can be read in two ways: declare formats = {rivals}")
    told = ", ".join(f"{form} ({count:,})" for form, count in formats.items())
    reading = reading._replace(kind=ColumnKind.DATE, formats=tuple(formats), moments=True)
    return reading.noting(
        *([f"dates in {len(formats)} formats: {told}"] if len(formats) > 1 else []), *_times_left_out(seen, formats)
    )


def _doubtful(reading: Reading, seen: Evidence) -> Reading:
    """Add a note on why a column of only numbers and dates has no single reading."""
    _, dates = date_formats(seen)
    if dates and seen.numeric:
        return reading.noting(f"{seen.numeric:,} numbers and {dates:,} dates: declare the type")
    return reading


def _words(reading: Reading, seen: Evidence, rest: int) -> Reading:
    """Return the reading of a column that contains words: a pair for yes and no, or text."""
    words = {word for word in seen.words if word not in USUAL_MISSING}
    if seen.present == sum(seen.words.values()):
        for pair in BOOLEANS:
            if words == set(pair) or (len(words) == 1 and words < set(pair) and len(pair[0]) > 1):
                tokens = seen.words.keys() & USUAL_MISSING
                told = ", ".join(f"{word} ({seen.words[word]:,})" for word in sorted(tokens))
                reading = reading._replace(kind=ColumnKind.BOOLEAN, tokens=frozenset(tokens))
                note = f"{rest:,} cells read as yes and no: {', '.join(sorted(words))}"
                return reading.noting(note, *([f"taken as missing: {told}"] if told else []))
    if seen.short == rest:
        return reading.noting(
            "dates with two digits for the year: declare formats = ['%d.%m.%y'] or as they are written"
        )
    numeric, dates = seen.numeric, date_formats(seen)[1]
    if max(numeric, dates) > 9 * rest:
        what = "dates" if dates > numeric else "numbers"
        return reading.noting(
            f"{what} but for {rest:,} cells in {len(words)} different forms: declare the type, or these as missing"
        )
    if seen.typed:
        return reading.noting(f"{seen.typed:,} cells are numbers in the source and stay text as the others")
    return reading


def _infinite(count: int) -> list[str]:
    return [f"{count:,} infinite numbers taken as missing"] if count else []


def _times_left_out(seen: Evidence, formats: Mapping[str, int] | tuple[str, ...]) -> list[str]:
    times = sum(seen.moments[form] for form in formats)
    return [f"time of day left out of {times:,} dates"] if times else []
