"""Standardise names: from what the source calls a column to a name that a query can use.

A name that is proper stays as it is. Of others, letters with marks lose them, a unit in brackets is taken out and kept,
and what is no letter or digit becomes an underscore. A name that comes twice gets a number, and the report says so.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from unicodedata import normalize

from participant.data.model.declaration import Declaration
from participant.data.model.errors import DeclarationError, HeaderError, some
from participant.statistics.language.query import NAME_PATTERN

_GERMAN = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "µ": "u", "μ": "u"}
)
_UNIT = re.compile(r"^(.*?[^\W_].*?)\s*[(\[]\s*([^()\[\]]{1,16}?)\s*[)\]]\s*$")
_LONGEST = 60


class NamedColumn(NamedTuple):
    """A column of the source.

    Attributes:
        position: in the source, from 0 on.
        name: by which queries ask for it.
        header: what the source called it.
        unit: that stood in the header.
        notes: what was changed, for the report.
    """

    position: int
    name: str
    header: str
    unit: str = ""
    notes: tuple[str, ...] = ()


def standardise(header: Sequence[str], declared: Declaration) -> tuple[NamedColumn, ...]:
    """Return the columns to import, with their names.

    Raises:
        HeaderError: a column has no name, or its name looks like a value: then the first line is a row.
        DeclarationError: a declared column is not there.
    """
    if odd := [number for number, name in enumerate(header, 1) if not any(c.isalpha() for c in name)]:
        raise HeaderError(
            f"column {some(odd)} of {len(header)} has no proper name in the first line. Is the first line a header, "
            "and the separator right?"
        )
    own = {column.header: name for name, column in declared.columns.items() if column.header is not None}
    seen: Counter[str] = Counter()
    columns = []
    for position, given in enumerate(header):
        column = _named(position, given, own)
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
        # Without the names that are there: of a file without a header they would be its first patient.
        raise DeclarationError(f"the table has no column {some(absent)}; its first line names {len(there)} others")
    if len(there) < len(columns):
        raise HeaderError("two columns have one name also with numbers; declare names for them")
