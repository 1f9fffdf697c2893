"""Standardise names: turn the source's name of a column into one that a query can use.

A valid name stays as it is. In others, letters lose their diacritics, a unit in brackets is taken out and kept, and
anything but letters and digits becomes an underscore. A repeated name gets a number, and the report says so.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple
from unicodedata import normalize

import polars as pl

from participant.data.model.declaration import Declaration
from participant.data.model.errors import DeclarationError, HeaderError, some
from participant.statistics.language.query import NAME_PATTERN

_GERMAN = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "µ": "u", "μ": "u"}
)
_UNIT = re.compile(r"^(.*?[^\W_].*?)\s*[(\[]\s*([^()\[\]]{1,16}?)\s*[)\]]\s*$")
_LONGEST = 60


_YEAR = r"(?:19|20)[0-9]{2}"


class NamedColumn(NamedTuple):
    """A column of the source.

    Attributes:
        position: position in the source, from 0.
        name: name for queries.
        header: name in the source.
        unit: unit found in the header.
        notes: notes for the report on changes.
        doubt: reason why it may not be a column, for its cells to settle: no name, or a year as its name.
    """

    position: int
    name: str
    header: str
    unit: str = ""
    notes: tuple[str, ...] = ()
    doubt: Literal["", "nameless", "year"] = ""


def standardise(header: Sequence[str], declared: Declaration) -> tuple[NamedColumn, ...]:
    """Return the columns to import, with their names.

    Raises:
        HeaderError: a column has no proper name, so the first line may be a row.
        DeclarationError: a declared column is missing.
    """
    doubts = [_doubt(name) for name in header]
    plain = [any(c.isalpha() for c in name) for name in header]
    if (odd := [at + 1 for at, name in enumerate(header) if not plain[at] and not doubts[at]]) or not any(plain):
        raise HeaderError(_not_a_header(odd or list(range(1, len(header) + 1)), len(header)))
    own = {column.header: name for name, column in declared.columns.items() if column.header is not None}
    seen: Counter[str] = Counter()
    columns = []
    for position, given in enumerate(header):
        column = _named(position, given, own)._replace(doubt=doubts[position])
        seen[column.name] += 1
        if seen[column.name] > 1:
            again = f"{column.name}_{seen[column.name]}"
            note = f"the name {column.name} comes more than once; this is column {position + 1}"
            column = column._replace(name=again, notes=(*column.notes, note))
        columns.append(column)
    _check_declared(columns, declared)
    if declared.others == "drop":
        wanted = {*declared.columns, *declared.identity}
        columns = [column for column in columns if column.name in wanted]
    return tuple(columns)


def _named(position: int, given: str, own: Mapping[str, str]) -> NamedColumn:
    if not given:
        name = "row" if position == 0 else f"column_{position + 1}"
        return NamedColumn(position, name, given, notes=("has no name in the source",))
    if given in own:
        return NamedColumn(position, own[given], given)
    if re.fullmatch(NAME_PATTERN, given):
        return NamedColumn(position, given, given)
    found = _UNIT.match(given)
    stem, unit = (found[1], found[2]) if found else (given, "")
    plain = normalize("NFKD", stem.translate(_GERMAN)).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:_LONGEST]
    if not name or not name[0].isalpha():
        name = f"x_{name}".rstrip("_")
    notes = (f"called {given[:80]!r} in the source",) + ((f"unit {unit} from the name",) if unit else ())
    return NamedColumn(position, name, given, unit, notes)


def _check_declared(columns: Sequence[NamedColumn], declared: Declaration) -> None:
    there = {column.name for column in columns}
    if absent := sorted({*declared.columns, *declared.identity} - there):
        # Omits the names found: in a file without a header, they would be its first patient.
        raise DeclarationError(f"the table has no column {some(absent)}; its first line names {len(there)} others")
    if len(there) < len(columns):
        raise HeaderError("two columns have one name also with numbers; declare names for them")


class Doubts:
    """Gathers evidence on whether doubtful columns are real."""

    def __init__(self, columns: Sequence[NamedColumn], header: int) -> None:
        self._header = header
        self._columns = {column.name: column for column in columns if column.doubt}
        self._filled: set[str] = set()
        self._counting: dict[str, int | None] = {}  # next row number expected, None after a different one
        self._not_years: set[str] = set()

    def read(self, cells: pl.DataFrame) -> None:
        """Take the cells of a batch."""
        for name, column in self._columns.items():
            present = cells[name].drop_nulls()
            if len(present):
                self._filled.add(name)
            numbers = present.cast(pl.Int64, strict=False)
            if (
                column.doubt == "year"
                and len(present)
                and not numbers.is_between(1900, 2099).fill_null(value=False).all()
            ):
                self._not_years.add(name)
            if column.doubt == "nameless" and column.position == 0 and cells.height:
                self._count(name, cells[name].cast(pl.Int64, strict=False))

    def settle(self, columns: Sequence[NamedColumn]) -> tuple[tuple[NamedColumn, ...], tuple[str, ...]]:
        """Return the columns that proved real, and notes about the others.

        Raises:
            HeaderError: a column without a name has values, or the first line may be a row.
        """
        if years := [
            one.position + 1
            for name, one in self._columns.items()
            if one.doubt == "year" and name in self._filled and name not in self._not_years
        ]:
            raise HeaderError(_not_a_header(years, self._header))
        nameless = [one for one in self._columns.values() if one.doubt == "nameless"]
        numbers = [one for one in nameless if self._counting.get(one.name) is not None]
        empty = [one for one in nameless if one.name not in self._filled]
        if odd := [one.position + 1 for one in nameless if one.position and one not in empty]:
            raise HeaderError(_not_a_header(odd, self._header, " Their cells have values."))
        notes = [f"{len(empty):,} columns without a name and without a value left out"] if empty else []
        notes += ["the first column has no name and numbers the rows: left out"] if numbers else []
        return tuple(one for one in columns if one not in (*numbers, *empty)), tuple(notes)

    def _count(self, name: str, numbers: pl.Series) -> None:
        first = self._counting.get(name, 0 if numbers[0] == 0 else 1)
        if first is not None:
            running = pl.int_range(first, first + len(numbers), dtype=pl.Int64, eager=True)
            first = first + len(numbers) if numbers.null_count() == 0 and (numbers == running).all() else None
        self._counting[name] = first


def _doubt(name: str) -> Literal["", "nameless", "year"]:
    if not name:
        return "nameless"
    return "year" if re.fullmatch(_YEAR, name) else ""


def _not_a_header(odd: Sequence[int], columns: int, more: str = "") -> str:
    return (
        f"column {some(odd)} of {columns} has no proper name in the first line.{more} Is the first line a header, and "
        "the separator right?"
    )
