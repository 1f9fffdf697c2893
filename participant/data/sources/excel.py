"""A sheet of an Excel workbook (.xlsx, .xlsm): the values, never the formulas.

A workbook is an archive that can promise little and unpack to anything, and two cells at opposite corners make a sheet
of 17 billion. So it is unpacked once in pieces that are thrown away, with limits on what comes out, before the library
may read it.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path

import fastexcel
import polars as pl

from participant.data.model.errors import SourceError
from participant.data.sources import Batch, Origin, batch_rows, check_columns, check_file, positions

MAX_UNPACKED_BYTES = 1 << 30
MAX_MEMBERS = 2000
MAX_CELLS = 50_000_000
_PIECE = 1 << 20
_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Z]{0,3})([0-9]{1,7})["']""")
_OVERLAP = 64


class ExcelSource:
    """A sheet of a workbook.

    Args:
        path: the file.
        sheet: its name; by default the first one.

    Raises:
        SourceError: no workbook, no such sheet, or larger than allowed.
    """

    def __init__(self, path: Path, *, sheet: str | None = None) -> None:
        check_file(path)
        self._path = path
        _check_archive(path)
        try:
            workbook = fastexcel.read_excel(path)
            names = workbook.sheet_names
            self._sheet = names[0] if sheet is None and names else sheet
            if self._sheet not in names:
                raise SourceError(f"{path.name} has no sheet of that name; it has {len(names)}")
            table = workbook.load_sheet(self._sheet, header_row=None, dtypes="string").to_polars()
        except fastexcel.FastExcelError:
            raise SourceError(f"{path.name} is no workbook that can be read; save it as .xlsx") from None
        if table.height < 2:
            raise SourceError(f"the sheet of {path.name} has no rows below its header")
        check_columns(table.width)
        self._header = tuple((cell or "").strip() for cell in table.row(0))
        self._table = table.slice(1).rename(dict(zip(table.columns, positions(table.width), strict=True)))

    @property
    def header(self) -> tuple[str, ...]:
        return self._header

    @property
    def size(self) -> int:
        return self._table.height

    def batches(self) -> Iterator[Batch]:
        rows = batch_rows(self._table.width)
        for start in range(0, self._table.height, rows):
            cells = self._table.slice(start, rows)
            lines = pl.int_range(start + 2, start + 2 + cells.height, dtype=pl.Int64, eager=True)
            yield Batch(lines, cells, (), start + cells.height)

    def origin(self) -> Origin:
        with self._path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        return Origin("excel", self._path.name, self._path.stat().st_size, digest, (f"sheet {self._sheet}",))


def _check_archive(path: Path) -> None:
    """Unpack everything once, keeping nothing; refuse what is too much."""
    unpacked = 0
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS or not any(one.filename == "xl/workbook.xml" for one in members):
                raise SourceError(f"{path.name} is no Excel workbook; save it as .xlsx")
            for member in members:
                reach = _Reach()
                with archive.open(member) as file:
                    while piece := file.read(_PIECE):
                        unpacked += len(piece)
                        if unpacked > MAX_UNPACKED_BYTES:
                            raise SourceError(f"{path.name} unpacks to more than {MAX_UNPACKED_BYTES >> 20:,} MiB")
                        if member.filename.startswith("xl/worksheets/"):
                            reach.look(piece)
                if reach.cells > MAX_CELLS:
                    raise SourceError(
                        f"a sheet of {path.name} spans {reach.cells:,} cells; at most {MAX_CELLS:,} can be"
                    )
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise SourceError(f"{path.name} is no Excel workbook, or it is encrypted; save it as .xlsx") from None


class _Reach:
    """How far the cells of a sheet reach, from the places that they name."""

    def __init__(self) -> None:
        self._column, self._row, self._rest = 1, 1, b""

    @property
    def cells(self) -> int:
        return self._column * self._row

    def look(self, piece: bytes) -> None:
        text = self._rest + piece
        for letters, row in set(_PLACE.findall(text)):
            self._row = max(self._row, int(row))
            self._column = max(self._column, _column_number(letters))
        self._rest = text[-_OVERLAP:]


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
