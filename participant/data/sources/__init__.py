"""Where a table comes from: one module a kind, each handing on batches of cells.

What a source has typed as a whole stays typed: Int64, Float64, Boolean or Date. Everything else is text, and where a
source types cell by cell (a sheet, a document) its numbers travel beside the text, as the numbers that they are. A
source knows limits for whatever a file can say about itself, and names lines as people see them.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from participant.data.model.description import SourceKind
from participant.data.model.errors import SourceError

MAX_COLUMNS = 2000
MAX_ROWS = 1 << 27
MAX_EMPTY_ROWS = 1_000_000
MAX_CELL_CHARS = 1 << 20
BATCH_CELLS = 1 << 22  # cells in a batch, about; a batch is what is in memory at a time


class Fault(NamedTuple):
    """A line that is no row of the table, with the reason."""

    line: int
    reason: str


class Batch(NamedTuple):
    """Some rows of a table.

    Attributes:
        lines: (rows,) Int64, where each row stands in the source: the line of a file, else the row, from 1 on.
        cells: a column for each of the source's columns so far, named by position: "0", "1" ...; text or typed.
        faults: lines that are no rows.
        read: bytes (of a file) or rows that were read so far, for the progress.
        numbers: by the name of a column of text, the cells that the source has typed as numbers: Int64 or Float64, null
            for the others. The text beside a number says it exactly.
    """

    lines: pl.Series
    cells: pl.DataFrame
    faults: Iterable[Fault]
    read: int
    numbers: Mapping[str, pl.Series] = {}


class SourceColumn(NamedTuple):
    """What a source knows about a column once it was read.

    Attributes:
        label, unit: in words; empty if it has none.
        categories: the number for each label, if all values have one.
        reasons: why values are missing, and how many for each reason.
        notes: for the report: what was done to how many cells.
        text: the source has typed it as text, or cell by cell: that it becomes numbers is then worth a note.
    """

    label: str = ""
    unit: str = ""
    categories: Mapping[str, int] | None = None
    reasons: Mapping[str, int] = {}
    notes: tuple[str, ...] = ()
    text: bool = False


class Origin(NamedTuple):
    """What is written down about a source. Never a credential, a query or a value.

    Attributes:
        kind: csv, parquet, excel, sql, mongo, sas, spss, stata or frame.
        name: the file's name, or database and table.
        bytes, sha256: of the file, else None.
        notes: how it was read, for the report.
    """

    kind: SourceKind
    name: str
    bytes: int | None = None
    sha256: str | None = None
    notes: tuple[str, ...] = ()


class TableSource(Protocol):
    """A table that can be read once, from its first row to its last."""

    @property
    def header(self) -> tuple[str, ...]:
        """Return the columns' names as the source has them; a source without a schema may learn more while read."""

    @property
    def size(self) -> int | None:
        """Return what `Batch.read` will come to, if that is known."""

    @property
    def decimal(self) -> str | None:
        """Return the decimal mark that the way in which cells are separated shows, if it shows one."""

    def batches(self) -> Iterator[Batch]:
        """Yield the rows. Raises SourceError."""

    def known(self) -> Mapping[int, SourceColumn]:
        """Return what the source knows about its columns, by position, once it was read."""

    def origin(self) -> Origin:
        """Return what is written down about the source, once it was read."""


def check_columns(count: int) -> None:
    """Refuse tables that are wider than what anybody keeps about a patient."""
    if count > MAX_COLUMNS:
        raise SourceError(f"the table has {count:,} columns; at most {MAX_COLUMNS:,} can be imported")
    if not count:
        raise SourceError("the table has no columns")


def check_rows(count: int) -> None:
    """Refuse tables that are longer than what the steps are made for."""
    if count > MAX_ROWS:
        raise SourceError(f"the table has more than {MAX_ROWS:,} rows")


def check_empty(count: int) -> None:
    """Refuse what is mostly nothing."""
    if count > MAX_EMPTY_ROWS:
        raise SourceError(f"more than {MAX_EMPTY_ROWS:,} rows have no value; is the separator right?")


def check_file(path: Path) -> None:
    """Refuse what is no file."""
    if not path.is_file():
        raise SourceError(f"there is no file {path.name}")


def positions(count: int) -> list[str]:
    """Return the names of a batch's columns."""
    return [str(position) for position in range(count)]


def batch_rows(columns: int) -> int:
    """Return how many rows of a table a batch holds."""
    return max(1, min(BATCH_CELLS // max(columns, 1), 1 << 18))
