"""Load: read a source batch by batch, and lay the cells aside as text; the only step that sees the source.

Each batch is stripped, its empty cells become missing, and what the later steps have to know of the whole table is
gathered on the way. A batch is what is in memory at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from participant.data.model.declaration import Declaration
from participant.data.model.errors import SourceError
from participant.data.model.progress import Clock, Show
from participant.data.sources import Fault, TableSource, check_empty, check_rows
from participant.data.steps.bad_rows import BadRows
from participant.data.steps.duplicates import Duplicates
from participant.data.steps.names import NamedColumn
from participant.data.steps.persons import Persons
from participant.data.steps.types import Evidence

LINE = "#"


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A table that was read.

    Attributes:
        parts: files with a batch each: the lines and the named columns, as text.
        rows: of all parts, the bad ones of this step not included.
        seen: evidence of the types, by name.
        duplicates, persons: what was gathered for these steps.
    """

    parts: tuple[Path, ...]
    rows: int
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
    """
    seen = {column.name: Evidence() for column in columns}
    missing = {name: [*declared.missing, *declared.columns[name].missing] for name in declared.columns}
    duplicates, persons, rows = Duplicates(), Persons(), 0
    parts: list[Path] = []
    held: pl.DataFrame | None = None  # rows without any value: they are none if nothing comes after them
    batches = iter(source.batches())
    while True:
        with clock("load"):
            batch = next(batches, None)
            if batch is None:
                break
            bad.rows(batch.faults)
            picked = [pl.col(str(column.position)).alias(column.name) for column in columns]
            table = batch.cells.select(picked).select(pl.all().str.strip_chars().replace("", None))
            table = table.with_columns(batch.lines.alias(LINE))
            table, held = _filled(table if held is None else pl.concat([held, table]), bad)
            if not table.height:
                continue
            rows += table.height
            check_rows(rows)
            parts.append(folder / f"cells-{len(parts):06d}.arrow")
            table.write_ipc(parts[-1], compression="lz4")
            cells, lines = table.drop(LINE), table[LINE]
        with clock("duplicates"):
            duplicates.add(lines, cells, declared.identity)
            if declared.person:
                persons.add(cells[declared.person])
        with clock("types"):
            for name, evidence in seen.items():
                evidence.read(cells[name].filter(~cells[name].is_in(missing.get(name, list(declared.missing)))))
        show("load", batch.read, source.size, rows)
    if not rows and not bad.lines:
        raise SourceError("the table has a header and no rows")
    return StagedTable(tuple(parts), rows, seen, duplicates, persons)


def _filled(table: pl.DataFrame, bad: BadRows) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows with values, and the empty ones at the end. Empty ones before them are listed as bad.

    In a table of one column an empty row is a missing value.
    """
    empty = table.select(pl.all_horizontal(pl.exclude(LINE).is_null())).to_series()
    if not empty.any():
        return table, table.clear()
    check_empty(int(empty.sum()))
    filled = (~empty).arg_true()
    end = int(filled[-1]) + 1 if len(filled) else 0
    head, gaps = table.head(end), empty.head(end)
    if table.width > 2:  # beside the line
        bad.rows(Fault(int(line), "no value in any column") for line in head[LINE].filter(gaps))
        head = head.filter(~gaps)
    return head, table.slice(end)
