"""A sheet of a workbook (.xlsx, .xlsm, .xlsb, .xls, .ods): the values in its cells, never the formulas.

A workbook is an archive that can look small and unpack to any size, and two cells in opposite corners make a sheet of
17 billion. So before the library may read it, it is unpacked once, within limits, in pieces that are thrown away. That
pass also finds the cells that the library shows as empty: errors, and formulas without a value.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import python_calamine as calamine

from participant.data.model.errors import SourceError
from participant.data.sources import Batch, Origin, SourceColumn, batch_rows, check_columns, check_file
from participant.data.sources.archive import Hidden, check_archive
from participant.data.sources.cells import CellBatches

MAX_CELLS = 50_000_000


class SpreadsheetSource:
    """A sheet of a workbook.

    Args:
        path: the file.
        sheet: name of the sheet; by default the first one.

    Raises:
        SourceError: the file is not a workbook, has no such sheet, or is larger than allowed.
    """

    decimal = None

    def __init__(self, path: Path, *, sheet: str | None = None) -> None:
        check_file(path)
        self._path = path
        hidden = check_archive(path)
        try:
            book = calamine.CalamineWorkbook.from_path(path)
            names = book.sheet_names
            self._name = names[0] if sheet is None and names else sheet
            if self._name not in names:
                raise SourceError(f"{path.name} has no sheet of that name; it has {len(names)}")
            self._sheet = book.get_sheet_by_name(self._name)
        except calamine.CalamineError:
            raise SourceError(f"{path.name} is not a workbook that can be read; save it as .xlsx") from None
        self._hidden = hidden.get(self._name, Hidden({}, frozenset())) if hidden is not None else None
        start, end = self._sheet.start, self._sheet.end
        if start is None or end is None or end[0] == start[0]:
            raise SourceError(f"the sheet of {path.name} has no rows below its header")
        self._top, self._left = start
        self._last = end[0]
        if (spanned := (end[0] - start[0] + 1) * (end[1] - start[1] + 1)) > MAX_CELLS:
            raise SourceError(f"a sheet of {path.name} spans {spanned:,} cells; at most {MAX_CELLS:,} can be")
        header = next(self._rows())
        check_columns(len(header))
        self._header = tuple(_name(cell) for cell in header)
        self._cells = CellBatches(self._header, whole=True)

    @property
    def header(self) -> tuple[str, ...]:
        return self._header

    @property
    def size(self) -> int:
        return self._last - self._top

    def batches(self) -> Iterator[Batch]:
        rows, first = islice(self._rows(), 1, None), self._top + 1
        while batch := list(islice(rows, batch_rows(len(self._header)))):
            self._uncover(batch, first)
            lines = pl.int_range(first + 1, first + 1 + len(batch), dtype=pl.Int64, eager=True)
            first += len(batch)
            columns = [[None if cell == "" else cell for cell in column] for column in zip(*batch, strict=True)]
            yield self._cells.batch(columns, lines, read=first - self._top - 1)

    def known(self) -> Mapping[int, SourceColumn]:
        found = dict(self._cells.known())
        for position, notes in self._notes().items():
            one = found.get(position, SourceColumn())
            found[position] = one._replace(notes=(*one.notes, *notes))
        return found

    def origin(self) -> Origin:
        with self._path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        notes = [f"sheet {self._name}", f"header in row {self._top + 1}"]
        if self._hidden is None:
            notes.append("in this format cells with errors, such as #DIV/0!, cannot be told from empty ones")
        return Origin("excel", self._path.name, self._path.stat().st_size, digest, tuple(notes))

    def _rows(self) -> Iterator[list[Any]]:
        """Yield the rows from the header on; the library begins with the sheet's first row."""
        return islice(self._sheet.iter_rows(), self._top, None)

    def _uncover(self, rows: Sequence[list[Any]], first: int) -> None:
        """Put errors into the cells that the library shows as empty."""
        if self._hidden is None or not self._hidden.errors:
            return
        for at, row in enumerate(rows, first):
            for column, error in self._hidden.errors.get(at, ()):
                place = column - self._left
                if 0 <= place < len(row) and row[place] == "":
                    row[place] = error

    def _notes(self) -> dict[int, list[str]]:
        """Return notes about merged cells and formulas without a value, by column."""
        merged: Counter[int] = Counter()
        ranges = self._sheet.merged_cell_ranges or []
        for (top, left), (bottom, right) in ranges:
            if bottom > self._top:
                for column in range(max(left, self._left), right + 1):
                    merged[column - self._left] += (
                        bottom - max(top, self._top + 1) + 1 - (column == left and top > self._top)
                    )
        empty: Counter[int] = Counter()
        if self._hidden is not None:
            empty.update(column - self._left for row, column in self._hidden.unvalued if row > self._top)
        notes: dict[int, list[str]] = {}
        for position, count in merged.items():
            if count:
                notes.setdefault(position, []).append(
                    f"{count:,} cells are merged into another, which alone has their value"
                )
        for position, count in empty.items():
            notes.setdefault(position, []).append(
                f"{count:,} formulas have no stored value and are missing: open the workbook in Excel and save it"
            )
        return notes


def _name(cell: Any) -> str:
    """Return a header cell as a name; a year may be stored as a number."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    return str(cell).strip()
