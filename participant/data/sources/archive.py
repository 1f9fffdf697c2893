"""Inspects a workbook before a library reads it: its unpacked size, and the cells that the library would hide."""

import re
import zipfile
import zlib
from html import unescape
from pathlib import Path
from typing import NamedTuple

from participant.data.model.errors import SourceError

MAX_UNPACKED_BYTES = 1 << 30
MAX_MEMBERS = 2000
MAX_CELLS = 50_000_000
MAX_HIDDEN = 1_000_000
_PIECE = 1 << 20
_OVERLAP = 4096
_LONGEST = 1 << 20  # bytes read of the list of sheets
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Z]{0,3})([0-9]{1,7})["']""")
_NS = rb"(?:[A-Za-z0-9]+:)?"
_CELL, _VALUE, _FORMULA = _NS + rb"c", _NS + rb"v", _NS + rb"f"
# No part of these runs beyond the next cell, so a sheet of opening tags alone is scanned only once.
_ERROR = re.compile(
    rb"<%b\b([^<>]*\bt\s*=\s*[\"']e[\"'][^<>]*)>(?:(?!</?%b\b).)*?<%b>([^<]{1,40})<" % (_CELL, _CELL, _VALUE), re.DOTALL
)
_UNVALUED = re.compile(
    rb"<%b\b([^<>]*)>\s*<%b\b(?:[^<>]*/>|[^<>]*>[^<]*</%b>)\s*(?:<%b\s*/>|<%b>\s*</%b>)?\s*</%b>"
    % (_CELL, _FORMULA, _FORMULA, _VALUE, _VALUE, _VALUE, _CELL)
)


class Hidden(NamedTuple):
    """Cells of a sheet that a library shows as empty. Rows and columns count from 0.

    Attributes:
        errors: column and text of each error, such as #DIV/0!, by row.
        unvalued: rows and columns of formulas without a stored value.
    """

    errors: dict[int, list[tuple[int, str]]]
    unvalued: frozenset[tuple[int, int]]


def check_archive(path: Path) -> dict[str, Hidden] | None:
    """Unpack everything once, keeping nothing, and return the hidden cells by sheet name.

    Returns:
        None for formats that do not show them: .xls and .xlsb.

    Raises:
        SourceError: the file is not a workbook, or is too large.
    """
    with path.open("rb") as file:
        if file.read(len(_OLE)) == _OLE:
            return None  # .xls, whose format bounds its size, or an encrypted workbook, which the library refuses
    unpacked, sheets = 0, {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = {one.filename for one in archive.infolist()}
            kinds = names & {"xl/workbook.xml", "xl/workbook.bin", "content.xml"}
            if len(archive.infolist()) > MAX_MEMBERS or not kinds:
                raise SourceError(f"{path.name} is not a workbook; save it as .xlsx")
            for member in archive.infolist():
                reach = _Sheet()
                with archive.open(member) as unpacking:
                    while piece := unpacking.read(_PIECE):
                        unpacked += len(piece)
                        if unpacked > MAX_UNPACKED_BYTES:
                            raise SourceError(f"{path.name} unpacks to more than {MAX_UNPACKED_BYTES >> 20:,} MiB")
                        if member.filename.startswith("xl/worksheets/"):
                            reach.look(piece)
                if reach.cells > MAX_CELLS:
                    raise SourceError(
                        f"a sheet of {path.name} spans {reach.cells:,} cells; at most {MAX_CELLS:,} can be"
                    )
                sheets[member.filename] = reach.hidden()
            if "xl/workbook.xml" not in kinds:
                return {} if "content.xml" in kinds else None
            return {name: sheets[file] for name, file in _sheets(archive).items() if file in sheets}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError):
        raise SourceError(f"{path.name} is not a workbook, or it is encrypted; save it as .xlsx") from None


class _Sheet:
    """Scans a sheet's XML piece by piece for the extent of its cells, and for the hidden ones."""

    def __init__(self) -> None:
        self._column, self._row, self._rest = 1, 1, b""
        self._errors: dict[tuple[int, int], str] = {}
        self._unvalued: set[tuple[int, int]] = set()

    @property
    def cells(self) -> int:
        return self._column * self._row

    def look(self, piece: bytes) -> None:
        text = self._rest + piece
        for letters, row in set(_PLACE.findall(text)):
            self._row = max(self._row, int(row))
            self._column = max(self._column, _column_number(letters))
        if len(self._errors) + len(self._unvalued) < MAX_HIDDEN:
            for attributes, error in _ERROR.findall(text) if b'"e"' in text or b"'e'" in text else ():
                if place := _place(attributes):
                    self._errors[place] = unescape(error.decode("utf-8", "replace"))
            for attributes in _UNVALUED.findall(text):
                if place := _place(attributes):
                    self._unvalued.add(place)
        self._rest = text[-_OVERLAP:]

    def hidden(self) -> Hidden:
        errors: dict[int, list[tuple[int, str]]] = {}
        for (row, column), error in self._errors.items():
            errors.setdefault(row, []).append((column, error))
        return Hidden(errors, frozenset(self._unvalued))


def _sheets(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the file of each sheet by the sheet's name."""
    targets = {
        found["Id"]: found["Target"].removeprefix("/xl/").removeprefix("/")
        for found in _elements(archive, "xl/_rels/workbook.xml.rels", b"Relationship")
        if {"Id", "Target"} <= found.keys()
    }
    return {
        unescape(found["name"]): f"xl/{targets[found['id']]}"
        for found in _elements(archive, "xl/workbook.xml", b"sheet")
        if "name" in found and found.get("id") in targets
    }


def _elements(archive: zipfile.ZipFile, member: str, tag: bytes) -> list[dict[str, str]]:
    """Return the attributes of the elements of a small file, without their prefixes."""
    with archive.open(member) as file:
        text = file.read(_LONGEST)
    return [
        {name.decode(): value.decode("utf-8", "replace") for name, _, value in _ATTRIBUTE.findall(one)}
        for one in re.findall(rb"<" + _NS + tag + rb"\s([^>]*)>", text)
    ]


_ATTRIBUTE = re.compile(rb"""([A-Za-z]+)\s*=\s*(["'])(.*?)\2""", re.DOTALL)


def _place(attributes: bytes) -> tuple[int, int] | None:
    """Return the row and column, from 0, that a cell's attributes name."""
    found = _PLACE.search(attributes)
    return None if found is None or not found[1] else (int(found[2]) - 1, _column_number(found[1]) - 1)


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
