"""Reads a table, from source to values, by the same rules for an import and for a simulation.

Batches are set aside in a folder that only its owner can read. Memory holds one batch at a time, and 16 bytes a row for
finding duplicates (more while they are sorted).
"""

from collections import abc
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import polars as pl

from participant.data.model.declaration import Declaration
from participant.data.model.description import NUMERIC, Column, ColumnKind, Description
from participant.data.model.errors import SourceError
from participant.data.model.progress import Clock, Show, nowhere
from participant.data.pipeline.mapping import Mapper, Mapping
from participant.data.sources import SourceColumn, TableSource, batch_rows
from participant.data.steps.bad_rows import BadRows
from participant.data.steps.evidence import mark_of_table
from participant.data.steps.load import LINE, NUMBERS, StagedTable, load
from participant.data.steps.names import standardise
from participant.data.steps.store import scan
from participant.data.steps.types import Reading, decide
from participant.data.steps.validate import Complaint, as_text, check
from participant.statistics.language.layout import Array


class TableValues(NamedTuple):
    """Values in parts, with the report's facts about how they were read.

    Attributes:
        parts: files, each with a batch of values.
        columns: descriptions, in which missing values are not counted yet.
        read: number of rows, including bad ones.
        same: number of rows equal to an earlier one in every cell, in a table without a key.
        persons: number of different persons, if an identifier was declared.
        notes: inferences, changes and open questions, by column.
        remarks: the same for the whole table.
    """

    parts: Sequence[Path]
    columns: tuple[Column, ...]
    read: int
    same: int = 0
    persons: int | None = None
    notes: abc.Mapping[str, Sequence[str]] = {}
    remarks: Sequence[str] = ()


class TableReader:
    """Reads a table into a folder.

    Args:
        folder: folder for the parts.
        declared: declaration of the table.
        bad: list of the rows that are left out.
        mapping: mapping to a project's variables, if any.
        clock, show: recipients of the steps' seconds and progress.
    """

    def __init__(
        self,
        folder: Path,
        declared: Declaration,
        bad: BadRows,
        *,
        mapping: Mapping | None = None,
        clock: Clock,
        show: Show = nowhere,
    ) -> None:
        self._folder = folder
        self._declared = declared
        self._bad = bad
        self._mapping = mapping
        self._clock = clock
        self._show = show

    def table(self, source: TableSource) -> TableValues:
        """Read a source and return its values, without the rows that are bad or repeat another.

        Raises:
            SourceError, HeaderError, DeclarationError: as their names say.
        """
        with self._clock("names"):
            named = standardise(source.header, self._declared)
        staged = load(source, named, self._declared, self._folder, self._bad, self._clock, self._show)
        read = staged.rows + len(self._bad.lines)
        with self._clock("duplicates"):
            for fault, repeats in staged.duplicates.found():
                (self._bad.same if repeats else self._bad.rows)([fault])
            same = 0 if self._declared.identity else staged.duplicates.repeated()
            numbers = staged.persons.numbers() if self._declared.person else None
        with self._clock("types"):
            known = source.known()
            mark = mark_of_table(list(staged.seen.values()), source.decimal)
            readings = [
                decide(one, staged.seen[one.name], self._declared, table=mark, known=known.get(one.position))
                for one in staged.columns
            ]
            columns = tuple(_column(one, self._declared, known.get(one.column.position)) for one in readings)
        mapper = self._mapping.mapper(columns) if self._mapping else None
        parts = [
            self._settle(number, lines, values, complaints, mapper)
            for number, (lines, values, complaints) in enumerate(self._values(staged, readings, numbers))
        ]
        persons = None if numbers is None else max((int(one.to_numpy().max(initial=0)) for one in numbers), default=0)
        notes = {one.name: one.notes for one in readings}
        return TableValues(parts, mapper.columns if mapper else columns, read, same, persons, notes, staged.notes)

    def stored(self, path: Path, described: Description) -> TableValues:
        """Return the values of a stored version, mapped."""
        assert self._mapping is not None
        mapper = self._mapping.mapper(described.columns)
        parts: list[Path] = []
        first = 1
        frame = pl.scan_parquet(path, glob=False)
        for values in frame.collect_batches(
            chunk_size=batch_rows(len(described.columns)), maintain_order=True, lazy=True
        ):
            lines = pl.int_range(first, first + values.height, dtype=pl.Int64, eager=True)
            first += values.height
            parts.append(self._settle(len(parts), lines, values, [], mapper))
            self._show("map", first - 1, described.rows, first - 1)
        return TableValues(parts, mapper.columns, described.rows)

    def _values(
        self, staged: StagedTable, readings: Sequence[Reading], numbers: Sequence[pl.Series] | None
    ) -> Iterator[tuple[pl.Series, pl.DataFrame, list[tuple[str, Complaint, pl.Series]]]]:
        """Yield each part's lines and values, with the complaints about its cells."""
        done = 0
        for position, part in enumerate(staged.parts):
            with self._clock("validate"):
                cells = pl.read_ipc(part.read_bytes())
                part.unlink()
                values, complaints = [], []
                for reading in readings:
                    typed = f"{reading.name}{NUMBERS}"
                    checked = check(cells[reading.name], reading, cells[typed] if typed in cells.columns else None)
                    complaints += [(reading.name, one, cells[reading.name]) for one in checked.complaints]
                    values.append(checked.values)
                    if numbers is not None and reading.name == self._declared.person:
                        values[-1] = numbers[position].alias(reading.name)
                done += cells.height
            yield cells[LINE], pl.DataFrame(values), complaints
            self._show("validate", done, staged.rows, done)

    def _settle(
        self,
        number: int,
        lines: pl.Series,
        values: pl.DataFrame,
        complaints: list[tuple[str, Complaint, pl.Series]],
        mapper: Mapper | None,
    ) -> Path:
        """List a part's bad cells, and write its values without the rows that are left out."""
        if mapper is not None:
            with self._clock("map"):
                given = values
                values, more = mapper.map(given)
                complaints += [(column, one, given[column]) for column, one in more]
        with self._clock("validate"):
            for column, complaint, cells in complaints:
                rows = complaint.rows
                found = zip(lines.filter(rows), as_text(cells.filter(rows)), strict=True)
                self._bad.cells(column, complaint.reason, found)
            if left_out := self._bad.left_out:
                values = values.filter(~lines.is_in(list(left_out)))
            part = self._folder / f"values-{number:06d}.arrow"
            values.write_ipc(part)
        return part


def numbers_of(source: TableSource, declared: Declaration | None = None) -> dict[str, Array]:
    """Return a table's columns that statistics can use, as an import would store them; keep nothing.

    Returns:
        (rows,) float64 by name, NaN where a value is missing.

    Raises:
        SourceError, HeaderError, DeclarationError: as their names say; also if too many rows are bad.
    """
    declared = declared or Declaration()
    with TemporaryDirectory(prefix="secagg-") as name:
        folder = Path(name)
        bad = BadRows(folder)
        try:
            table = TableReader(folder, declared, bad, clock=Clock()).table(source)
        finally:
            bad.close()
        if len(bad.lines) > declared.bad_rows * table.read or not table.parts:
            (column, reason), times = bad.reasons.most_common(1)[0]
            place = f"column {column}: " if column else ""
            raise SourceError(
                f"{len(bad.lines):,} of {table.read:,} rows are bad, first on line {min(bad.lines)}; most often "
                f"({times:,} times) {place}{reason}"
            )
        wanted = [column.name for column in table.columns if column.kind in NUMERIC]
        values = scan(table.parts).select(pl.col(wanted).cast(pl.Float64)).collect()
        return {column.name: column.to_numpy().astype(np.float64) for column in values}


def _column(reading: Reading, declared: Declaration, known: SourceColumn | None) -> Column:
    person = reading.name == declared.person
    return Column(
        name=reading.name,
        kind=ColumnKind.INTEGER if person else reading.kind,
        missing=0,  # counted when the values are stored
        header=reading.column.header if reading.column.header != reading.name else None,
        label=reading.label,
        unit=reading.unit,
        categories=dict(reading.categories) if reading.kind is ColumnKind.CATEGORY and reading.categories else None,
        low=reading.low,
        high=reading.high,
        reasons=dict(known.reasons) if known else {},
    )
