"""Infer types: what a column is, from all of its cells.

Nothing is guessed from a part of the rows. A column is numeric if every cell is a number in one way of writing numbers;
a number with a leading zero, or with more digits than a double holds, is taken as a code and stays text. Cells that are
numbers but for a thousands separator, a decimal comma or a unit count as such if the whole column allows one reading,
and dates likewise; where two readings are possible the column stays text, and the report says what to declare.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from participant.data.model.declaration import Conversion, Declaration, DeclaredColumn
from participant.data.model.description import NUMERIC, ColumnKind
from participant.data.steps.names import NamedColumn

CODE = r"^[+-]?(?:0[0-9]|[0-9]{16})"
GAP = "'\u2019\u00a0\u202f\u2009 "  # between thousands, in many countries
_POWER = "(?:[eE][+-]?[0-9]{1,4})?"
NUMBER = {
    ".": rf"[+-]?(?:[0-9]{{1,3}}(?:[,{GAP}][0-9]{{3}})+(?:\.[0-9]+)?|[0-9]+\.?[0-9]*|\.[0-9]+){_POWER}",
    ",": rf"[+-]?(?:[0-9]{{1,3}}(?:[.{GAP}][0-9]{{3}})+(?:,[0-9]+)?|[0-9]+(?:,[0-9]*)?|,[0-9]+){_POWER}",
}
UNIT = r"[A-Za-z\u00b5\u03bc\u00b0%\u03a9][A-Za-z0-9\u00b5\u03bc\u00b0%\u03a9/.^\u00b2\u00b3*-]{0,15}"
WITH_UNIT = {mark: rf"^({number})\s*({UNIT})?$" for mark, number in NUMBER.items()}
DATES = {
    "%Y-%m-%d": r"^\d{4}-\d{1,2}-\d{1,2}$",
    "%d.%m.%Y": r"^\d{1,2}\.\d{1,2}\.\d{4}$",
    "%d/%m/%Y": r"^\d{1,2}/\d{1,2}/\d{4}$",
    "%m/%d/%Y": r"^\d{1,2}/\d{1,2}/\d{4}$",
    "%Y/%m/%d": r"^\d{4}/\d{1,2}/\d{1,2}$",
    "%d-%m-%Y": r"^\d{1,2}-\d{1,2}-\d{4}$",
    "%Y-%m-%dT%H:%M:%S": r"^\d{4}-\d{1,2}-\d{1,2}T\d{2}:\d{2}:\d{2}",
    "%Y-%m-%d %H:%M:%S": r"^\d{4}-\d{1,2}-\d{1,2} \d{2}:\d{2}:\d{2}",
}
BOOLEANS = (
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("ja", "nein"),
    ("j", "n"),
    ("oui", "non"),
    ("wahr", "falsch"),
)
USUAL_MISSING = frozenset(
    {
        "na",
        "n/a",
        "n.a.",
        "nan",
        "null",
        "none",
        "nil",
        "-",
        "--",
        ".",
        "?",
        "missing",
        "unknown",
        "unk",
        "k.a.",
        "#n/a",
        "#null!",
        "#div/0!",
    }
)
_HOPELESS = 1000  # different cells that fit no reading: after so many the column is text
_SHOWN = 5


class Reading(NamedTuple):
    """How the cells of a column become values.

    Attributes:
        column: of the source.
        kind: what they become.
        missing: cells that stand for a missing value.
        tokens: the same, in lower case, in any case.
        decimal: mark of decimals.
        formats: of dates, in the order in which they are tried.
        units: what one of another unit is in `unit`.
        unit, label, categories, low, high, required: as declared.
        notes: for the report.
    """

    column: NamedColumn
    kind: ColumnKind
    missing: frozenset[str]
    tokens: frozenset[str] = frozenset()
    decimal: str = "."
    formats: tuple[str, ...] = ()
    units: Mapping[str, Conversion] = {}
    unit: str = ""
    label: str = ""
    categories: Mapping[str, int] | None = None
    low: float | None = None
    high: float | None = None
    required: bool = False
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.column.name


@dataclass(slots=True)
class Evidence:
    """What was seen in one column. `read` takes a batch; nothing of it is kept but counts and a few different cells."""

    present: int = 0
    plain: int = 0  # finite numbers with a point
    whole: int = 0  # of these, integers
    pointed: int = 0  # of these, not also numbers under a decimal comma
    codes: int = 0
    forms: Counter[str] = field(default_factory=Counter)  # of the others, how many fit a reading
    units: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)  # cells, in lower case, that are no number or date
    hopeless: bool = False

    def read(self, cells: pl.Series) -> None:
        """Take the cells of a batch, without those that are missing by declaration."""
        cells = cells.drop_nulls()
        self.present += len(cells)
        if self.hopeless or not len(cells):
            return
        numbers = cells.cast(pl.Float64, strict=False)
        finite = numbers.is_finite().fill_null(value=False)
        plain = cells.filter(finite)
        self.plain += len(plain)
        self.codes += int(plain.str.contains(CODE).sum())
        values = numbers.filter(finite)
        whole = (values == values.round()) & (values.abs() < 1e15) & ~plain.str.contains("[.eE]")
        self.whole += int(whole.sum())
        if not self.pointed:
            fraction = plain.filter(~whole)
            self.pointed += len(fraction) - int(fraction.str.contains(f"^{NUMBER[',']}$").sum())
        if len(plain) < len(cells):
            self._read_others(cells.filter(~finite))

    def _read_others(self, cells: pl.Series) -> None:
        different = cells.value_counts(name="count")
        text, count = different.to_series(0), different["count"]
        known = pl.repeat(value=False, n=len(text), dtype=pl.Boolean, eager=True)
        for mark, pattern in WITH_UNIT.items():
            numbers, _ = parse_numbers(text, mark)
            fits = numbers.is_not_null()
            self.forms[mark] += _total(count, fits)
            new = fits & ~known
            whole = text.filter(new).str.extract(pattern, 1).str.contains("^[+-]?[0-9]{1,15}$")
            self.forms["whole"] += _total(count.filter(new), whole)
            self._count(self.units, text.filter(new).str.extract(pattern, 2), count.filter(new))
            known |= fits
        self.forms["grouped"] += _total(count, known & text.str.contains(f"^{NUMBER['.']}$"))
        for form, shape in DATES.items():
            fits = text.str.contains(shape) & parse_date(text, form).is_not_null()
            self.forms[form] += _total(count, fits)
            known |= fits
        self._count(self.words, text.filter(~known).str.to_lowercase(), count.filter(~known))
        self.hopeless = len(self.words) > _HOPELESS

    def _count(self, counter: Counter[str], text: pl.Series, count: pl.Series) -> None:
        for word, times in zip(text, count, strict=True):
            if word is not None:
                counter[word] += times
            if len(counter) > _HOPELESS:
                return


def decide(column: NamedColumn, seen: Evidence, declared: Declaration, *, table: str | None) -> Reading:
    """Return how a column is read.

    Args:
        column: of the source.
        seen: in its cells.
        declared: about the table.
        table: the decimal mark that other columns show, if they agree.
    """
    told = declared.columns.get(column.name, DeclaredColumn())
    decimal: str | None = told.decimal or declared.decimal
    reading = Reading(
        column=column,
        kind=ColumnKind.TEXT,
        missing=frozenset({*declared.missing, *told.missing}),
        units=told.units,
        unit=told.unit or column.unit,
        label=told.label,
        categories=told.categories,
        low=told.low,
        high=told.high,
        required=told.required or column.name in declared.identity,
        notes=column.notes,
    )
    if told.kind is None:
        return _inferred(reading, seen, decimal, table)
    if told.kind in NUMERIC and decimal is None:
        comma, point = _fits(seen, ","), _fits(seen, ".")
        decimal = (table or ".") if comma == point else "," if comma > point else "."
    formats = told.formats or tuple(_date_formats(seen)[0]) or ("%Y-%m-%d",)
    return reading._replace(
        kind=told.kind, decimal=decimal or ".", formats=formats if told.kind is ColumnKind.DATE else ()
    )


def mark_of_table(seen: Sequence[Evidence]) -> str | None:
    """Return the decimal mark of a table if its columns show one and do not contradict each other."""
    marks = {mark for one in seen if (mark := _mark(one)) is not None}
    return marks.pop() if len(marks) == 1 else None


def _mark(seen: Evidence) -> str | None:
    comma, point = _fits(seen, ","), _fits(seen, ".")
    if seen.hopeless or seen.codes or comma == point or max(comma, point) + _words_missing(seen) != seen.present:
        return None
    return "," if comma > point else "."


def parse_numbers(cells: pl.Series, mark: str) -> tuple[pl.Series, pl.Series]:
    """Return finite numbers with this decimal mark, null for cells that are none, and the units behind them."""
    pattern = WITH_UNIT[mark]
    plain = cells.str.extract(pattern, 1).str.replace_all(f"[{GAP}{',' if mark == '.' else '.'}]", "")
    numbers = plain.str.replace(mark, ".", literal=True).cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite().fill_null(value=False), None), cells.str.extract(pattern, 2)


def parse_date(cells: pl.Series, form: str) -> pl.Series:
    """Return the dates that cells are in a format, null for those that are none. Times of the day are left out."""
    if "%H" in form:
        return cells.str.slice(0, 19).str.to_datetime(form, strict=False).dt.date()
    return cells.str.to_date(form, strict=False)


def _inferred(reading: Reading, seen: Evidence, decimal: str | None, table: str | None) -> Reading:
    if not seen.present:
        return reading._replace(kind=ColumnKind.REAL, notes=(*reading.notes, "no value in any row"))
    if seen.hopeless or seen.codes:
        note = (f"{seen.codes:,} cells have leading zeros or 16 digits and more: taken as codes",) if seen.codes else ()
        return reading._replace(notes=reading.notes + note)
    gone = _words_missing(seen)
    tokens = tuple(word for word in seen.words if word in USUAL_MISSING)
    rest = sum(seen.words.values()) - gone
    if gone == seen.present:
        return reading  # a column of dashes says something, perhaps
    if tokens and not rest:
        told = ", ".join(f"{word} ({seen.words[word]:,})" for word in sorted(tokens))
        reading = reading._replace(tokens=frozenset(tokens), notes=(*reading.notes, f"taken as missing: {told}"))
    if rest:
        return _words(reading, seen, rest)
    return _numbers(reading, seen, decimal, gone, table) or _dates(reading, seen, gone) or reading


def _numbers(reading: Reading, seen: Evidence, decimal: str | None, gone: int, table: str | None) -> Reading | None:
    fits = [mark for mark in NUMBER if _fits(seen, mark) + gone == seen.present and (decimal or mark) == mark]
    if not fits:
        return None
    mark: str = fits[0]
    if len(fits) == len(NUMBER):  # 1,234 is a number in both, and so is 1.234
        if table is None and seen.forms["grouped"]:
            note = "numbers such as 1,234 can be read in two ways: declare decimal = '.' or ','"
            return reading._replace(notes=(*reading.notes, note))
        mark = table or "."
    units = {unit for unit in seen.units if unit not in reading.units and unit != reading.unit}
    if len(seen.units) > 1 and units:
        told = ", ".join(f"{unit} ({count:,})" for unit, count in sorted(seen.units.items())[:_SHOWN])
        return reading._replace(notes=(*reading.notes, f"several units in the cells: {told}; declare unit and units"))
    notes = reading.notes
    if seen.units:
        unit = reading.unit or next(iter(seen.units))
        reading = reading._replace(unit=unit, units={**reading.units, **{one: Conversion() for one in units}})
        notes += (f"unit {', '.join(seen.units)} taken out of {sum(seen.units.values()):,} cells",)
    if mark == "," and seen.forms[","] > seen.forms["."]:
        notes += ("decimal comma",)
    elif seen.forms["grouped"]:
        notes += ("thousands separators",)
    kind = ColumnKind.INTEGER if seen.whole + seen.forms["whole"] + gone == seen.present else ColumnKind.REAL
    return reading._replace(kind=kind, decimal=mark, notes=notes)


def _dates(reading: Reading, seen: Evidence, gone: int) -> Reading | None:
    formats, total = _date_formats(seen)
    if not formats or total + gone != seen.present:
        return None
    if {"%d/%m/%Y", "%m/%d/%Y"} <= formats.keys() and formats["%d/%m/%Y"] == formats["%m/%d/%Y"]:
        note = "dates such as 03/04/2020 can be read in two ways: declare formats = ['%d/%m/%Y'] or ['%m/%d/%Y']"
        return reading._replace(notes=(*reading.notes, note))
    told = ", ".join(f"{form} ({count:,})" for form, count in formats.items())
    notes = (f"dates in {len(formats)} formats: {told}",) if len(formats) > 1 else ()
    return reading._replace(kind=ColumnKind.DATE, formats=tuple(formats), notes=reading.notes + notes)


def _words(reading: Reading, seen: Evidence, rest: int) -> Reading:
    """Return the reading of a column with words in it: two words of yes and no, or text."""
    words = {word for word in seen.words if word not in USUAL_MISSING}
    only = seen.present == sum(seen.words.values())
    for pair in BOOLEANS:
        if only and words <= set(pair):
            return reading._replace(kind=ColumnKind.BOOLEAN, tokens=frozenset(seen.words.keys() & USUAL_MISSING))
    numeric = max(_fits(seen, "."), _fits(seen, ","), _date_formats(seen)[1])
    if numeric > 9 * rest:
        what = "dates" if _date_formats(seen)[1] == numeric else "numbers"
        note = f"{what} but for {rest:,} cells in {len(words)} different forms: declare the type, or these as missing"
        return reading._replace(notes=(*reading.notes, note))
    return reading


def _fits(seen: Evidence, mark: str) -> int:
    """Return how many cells are numbers with this decimal mark."""
    return seen.forms[mark] + (seen.plain if mark == "." or not seen.pointed else seen.whole)


def _words_missing(seen: Evidence) -> int:
    return sum(count for word, count in seen.words.items() if word in USUAL_MISSING)


def _date_formats(seen: Evidence) -> tuple[dict[str, int], int]:
    """Return the formats of a column's dates with their counts, and how many cells are dates."""
    formats = {form: seen.forms[form] for form in DATES if seen.forms[form]}
    slashes = {form: formats[form] for form in ("%d/%m/%Y", "%m/%d/%Y") if form in formats}
    if len(set(slashes.values())) > 1:  # one of the two fits more cells, so the other cannot be meant
        formats.pop(min(slashes, key=slashes.__getitem__))
    total = sum(formats.values())
    if len(slashes) > 1 and len(set(slashes.values())) == 1:
        total -= next(iter(slashes.values()))  # each fits both
    return formats, total


def _total(count: pl.Series, fits: pl.Series) -> int:
    return int(count.filter(fits).sum() or 0)
