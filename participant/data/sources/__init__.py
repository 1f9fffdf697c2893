"""Sources of tables: one module for each kind, each yielding batches of cells.

A column that a source types as a whole keeps its type: Int64, Float64, Boolean or Date. Everything else is text; where
a source types each cell (a sheet, a document), the numbers accompany the text. A source limits whatever a file can
claim about itself, and numbers lines as people see them.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from participant.data.model.description import SourceKind
from participant.data.model.errors import SourceError
from participant.data.model.summary import LeftOut

MAX_COLUMNS = 2000
MAX_ROWS = 1 << 27
MAX_EMPTY_ROWS = 1_000_000
MAX_CELL_CHARS = 1 << 20
BATCH_CELLS = 1 << 22  # approximate cells in a batch; memory holds one batch at a time


class Fault(NamedTuple):
    """A line that is not a row of the table, with the reason."""

    line: int
    reason: str


class Batch(NamedTuple):
    """Some rows of a table.

    Attributes:
        lines: (rows,) Int64, number of each row in the source: of the line in a file, else of the row, from 1.
        cells: one column for each of the source's columns so far, named by position: "0", "1" ...; text or typed.
        faults: lines that are not rows.
        read: number of bytes (of a file) or rows read so far, for the progress.
        numbers: the cells that the source typed as numbers, by text column's name: Int64 or Float64, null for
            the others. The text of each number is exact.
    """

    lines: pl.Series
    cells: pl.DataFrame
    faults: Iterable[Fault]
    read: int
    numbers: Mapping[str, pl.Series] = {}


class SourceColumn(NamedTuple):
    """A source's knowledge about a column, complete once it has been read.

    Attributes:
        label, unit: label and unit in words; empty if it has none.
        categories: number for each label, if all values have one.
        reasons: number of missing values for each reason.
        notes: notes for the report on changes to cells, with counts.
        text: whether the source typed it as text, or cell by cell; a conversion to numbers is then worth a note.
    """

    label: str = ""
    unit: str = ""
    categories: Mapping[str, int] | None = None
    reasons: Mapping[str, int] = {}
    notes: tuple[str, ...] = ()
    text: bool = False


class Origin(NamedTuple):
    """The record of a source, which never holds a credential, a query or a value.

    Attributes:
        kind: csv, parquet, excel, sql, mongo, sas, spss, stata, omop, fhir or frame.
        name: name of the file, or of database and table.
        bytes, sha256: size and hash of the file, else None.
        notes: notes for the report on how it was read.
        attrition: steps that left persons out of a cohort, from all persons on.
    """

    kind: SourceKind
    name: str
    bytes: int | None = None
    sha256: str | None = None
    notes: tuple[str, ...] = ()
    attrition: tuple[LeftOut, ...] = ()


class TableSource(Protocol):
    """A table that can be read once, from its first row to its last."""

    @property
    def header(self) -> tuple[str, ...]:
        """Return the source's column names; a source without a schema may find more while it is read."""

    @property
    def size(self) -> int | None:
        """Return the final value of `Batch.read`, if known."""

    @property
    def decimal(self) -> str | None:
        """Return the decimal mark that the cell separator implies, if any."""

    def batches(self) -> Iterator[Batch]:
        """Yield the rows. Raises SourceError."""

    def known(self) -> Mapping[int, SourceColumn]:
        """Return the source's knowledge about its columns, by position, once it has been read."""

    def origin(self) -> Origin:
        """Return the record of the source, once it has been read."""


def check_columns(count: int) -> None:
    """Refuse tables without columns, or with more than anybody keeps about a patient."""
    if count > MAX_COLUMNS:
        raise SourceError(f"the table has {count:,} columns; at most {MAX_COLUMNS:,} can be imported")
    if not count:
        raise SourceError("the table has no columns")


def check_rows(count: int) -> None:
    """Refuse tables that are longer than the steps are made for."""
    if count > MAX_ROWS:
        raise SourceError(f"the table has more than {MAX_ROWS:,} rows")


def check_empty(count: int) -> None:
    """Refuse tables with too many empty rows."""
    if count > MAX_EMPTY_ROWS:
        raise SourceError(f"more than {MAX_EMPTY_ROWS:,} rows have no value; is the separator right?")


def check_file(path: Path) -> None:
    """Refuse a path that is not a file."""
    if not path.is_file():
        is_folder = path.is_dir()
        raise SourceError(f"{path} is a folder, not a file" if is_folder else f"there is no file {path}")


def positions(count: int) -> list[str]:
    """Return the names of a batch's columns."""
    return [str(position) for position in range(count)]


def batch_rows(columns: int) -> int:
    """Return the number of rows in a batch."""
    return max(1, min(BATCH_CELLS // max(columns, 1), 1 << 18))
