"""Load: read a source batch by batch, and set the cells aside; the only step that sees the source.

Text is stripped, empty cells become missing, and facts about the whole table that later steps need are gathered on the
way. Memory holds one batch at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import polars.selectors as cs

from participant.data.model.declaration import Declaration
from participant.data.model.errors import SourceError
from participant.data.model.progress import Clock, Show
from participant.data.sources import Batch, Fault, TableSource, check_empty, check_rows
from participant.data.steps.bad_rows import BadRows
from participant.data.steps.duplicates import Duplicates
from participant.data.steps.evidence import Evidence
from participant.data.steps.missing import MissingCodes
from participant.data.steps.names import Doubts, NamedColumn
from participant.data.steps.persons import Persons

LINE = "#"
NUMBERS = "#"  # suffix of the column with the numbers that a source typed in a text column


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A table that was read and set aside.

    Attributes:
        parts: files with one batch each: line numbers and named columns, text or typed.
        rows: number of rows in all parts, without the bad ones of this step.
        columns: columns that their cells show to be real.
        notes: notes about the others.
        seen: evidence of the types, by name.
        duplicates, persons: data gathered for these steps.
    """

    parts: tuple[Path, ...]
    rows: int
    columns: tuple[NamedColumn, ...]
    notes: tuple[str, ...]
    seen: Mapping[str, Evidence]
    duplicates: Duplicates
    persons: Persons


def load(
    source: TableSource,
    columns: tuple[NamedColumn, ...],
    declared: Declaration,
    folder: Path,
    bad: BadRows,
    clock: Clock,
    show: Show,
) -> StagedTable:
    """Read a source to its end.

    Raises:
        SourceError: it cannot be read, or has no rows.
        HeaderError: the cells of a column show that the first line is not a header.
    """
    seen = {column.name: Evidence() for column in columns}
    missing = {
        name: MissingCodes.of(
            (*declared.missing, *(declared.columns[name].missing if name in declared.columns else ()))
        )
        for name in seen
    }
    duplicates, persons, doubts, rows = Duplicates(), Persons(), Doubts(columns, len(source.header)), 0
    parts: list[Path] = []
    held: pl.DataFrame | None = None  # rows without any value: dropped if nothing comes after them
    batches = iter(source.batches())
    while True:
        with clock("load"):
            batch = next(batches, None)
            if batch is None:
                break
            bad.rows(batch.faults)
            table = _named(batch, columns)
            table = table if held is None or not held.height else pl.concat([held, table], how="diagonal_relaxed")
            table, held = _filled(table, columns, bad)
            if not table.height:
                continue
            rows += table.height
            check_rows(rows)
            parts.append(folder / f"cells-{len(parts):06d}.arrow")
            table.write_ipc(parts[-1])  # uncompressed: to pack and unpack them would take longer than to read the file
            cells, lines = table.select(column.name for column in columns), table[LINE]
        with clock("duplicates"):
            duplicates.add(lines, cells, declared.identity)
            if declared.person:
                persons.add(cells[declared.person])
        with clock("types"):
            doubts.read(cells)
            for name, evidence in seen.items():
                typed = f"{name}{NUMBERS}"
                evidence.read(cells[name], missing[name], table[typed] if typed in table.columns else None)
        show("load", batch.read, source.size, rows)
    if not rows and not bad.lines:
        raise SourceError("the table has a header and no rows")
    there, notes = doubts.settle(columns)
    return StagedTable(tuple(parts), rows, there, notes, seen, duplicates, persons)


def _named(batch: Batch, columns: tuple[NamedColumn, ...]) -> pl.DataFrame:
    """Return a batch with named columns, its line numbers, and the typed numbers beside text columns."""
    table = batch.cells.select(pl.col(str(column.position)).alias(column.name) for column in columns)
    table = table.with_columns(*(_stripped(cells) for cells in table.select(cs.string())), cs.float().fill_nan(None))
    numbers = [
        batch.numbers[str(column.position)].alias(f"{column.name}{NUMBERS}")
        for column in columns
        if str(column.position) in batch.numbers
    ]
    return table.with_columns(batch.lines.alias(LINE), *numbers)


def _stripped(cells: pl.Series) -> pl.Series:
    """Return text without space around it, null where nothing is left; numbers have none, and stay as they are."""
    if cells.cast(pl.Float64, strict=False).null_count() == cells.null_count():
        return cells
    stripped = cells.str.strip_chars()
    return stripped.set(stripped == "", None) if (stripped == "").any() else stripped


def _filled(table: pl.DataFrame, columns: tuple[NamedColumn, ...], bad: BadRows) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows up to the last one with a value, and the empty ones after it; list empty ones in between as bad.

    In a table of one column, an empty row in between is kept as a missing value.
    """
    if not all(table[column.name].null_count() for column in columns):
        return table, table.clear()
    empty = table.select(pl.all_horizontal(pl.col(column.name).is_null() for column in columns)).to_series()
    if not empty.any():
        return table, table.clear()
    check_empty(int(empty.sum()))
    filled = (~empty).arg_true()
    end = int(filled[-1]) + 1 if len(filled) else 0
    head, gaps = table.head(end), empty.head(end)
    if len(columns) > 1:
        bad.rows(Fault(int(line), "no value in any column") for line in head[LINE].filter(gaps))
        head = head.filter(~gaps)
    return head, table.slice(end)
