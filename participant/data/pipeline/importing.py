"""An import: from a source to a new version of a dataset, in named steps with their times, and a report either way.

    load, names, duplicates, types, validate, map, store, verify, report

Batches of text are laid aside in a folder that only the owner can read, and that is removed at the end. What is in
memory at a time is a batch, 16 bytes a row for finding duplicates (and more while they are sorted), and for the report
one column. The report and the list of bad rows stay beside the dataset, also when the import is refused.
"""

from collections import abc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

from participant.data.model.declaration import Declaration
from participant.data.model.description import Column, ColumnKind, DataFile, Description
from participant.data.model.errors import BadRowsError
from participant.data.model.private import private_file
from participant.data.model.profile import profile
from participant.data.model.progress import Clock, Show, nowhere
from participant.data.pipeline.mapping import NAME as MAPPING
from participant.data.pipeline.mapping import Mapper, Mapping
from participant.data.report.facts import ImportFacts
from participant.data.report.write import write
from participant.data.sources import Origin, TableSource, batch_rows
from participant.data.steps.bad_rows import BadRows
from participant.data.steps.load import LINE, StagedTable, load
from participant.data.steps.names import standardise
from participant.data.steps.store import counted, file_of, store
from participant.data.steps.types import Reading, decide, mark_of_table
from participant.data.steps.validate import Complaint, check
from participant.data.steps.verify import verify
from participant.data.store.store import DATA, DatasetStore


class Imported(NamedTuple):
    """What came of an import: the new version, the folder with its report, and what the report says."""

    description: Description
    folder: Path
    facts: ImportFacts


class _Table(NamedTuple):
    """Values in parts, with what the report says about the way to them."""

    parts: Sequence[Path]
    columns: tuple[Column, ...]
    read: int
    same: int = 0
    persons: int | None = None
    notes: abc.Mapping[str, Sequence[str]] = {}


def import_table(
    datasets: DatasetStore,
    name: str,
    source: TableSource,
    *,
    imported_at: datetime,
    declared: Declaration | None = None,
    mapping: Mapping | None = None,
    show: Show = nowhere,
    pictures: bool = True,
) -> Imported:
    """Import a table as the next version of a dataset.

    Args:
        datasets: where it goes.
        name: of the dataset: a letter, then up to 63 letters, digits and ``. _ -``.
        source: of the table.
        imported_at: the time, with its zone.
        declared: what the site says about the table; nothing by default.
        mapping: to a project's variables, if there is one.
        show: takes the progress.
        pictures: whether the report has any.

    Raises:
        DatasetNameError, SourceError, HeaderError, DeclarationError: as they say; nothing was stored.
        BadRowsError: more rows are bad than the declaration allows; report and list of bad rows were kept.
    """
    with _at_work(datasets, name, declared or Declaration(), mapping, imported_at, show) as task:
        return task.finish(task.table(source), source, pictures=pictures)


def map_dataset(
    datasets: DatasetStore,
    name: str,
    mapping: Mapping,
    *,
    mapped_at: datetime,
    bad_rows: float = 0.0,
    show: Show = nowhere,
) -> Imported:
    """Map the newest version of a dataset to a project's variables, as its next version.

    Raises:
        NoSuchDatasetError, DamagedDatasetError, DeclarationError, BadRowsError: as they say; nothing was stored.
    """
    described = datasets.verify(name)
    path = datasets.folder(name, described.version) / DATA
    with _at_work(
        datasets, name, Declaration(person=described.person).allowing(bad_rows), mapping, mapped_at, show
    ) as task:
        origin = Origin("dataset", f"{name} version {described.version}", described.data.bytes, described.data.sha256)
        return task.finish(task.stored(path, described), origin, pictures=True)


@contextmanager
def _at_work(
    datasets: DatasetStore, name: str, declared: Declaration, mapping: Mapping | None, at: datetime, show: Show
) -> Iterator["_Import"]:
    """Give an import with a folder to work in, and clear away what is left of it."""
    with datasets.unfinished(name) as work:
        task = _Import(datasets, name, declared, mapping, at, show, work)
        try:
            yield task
        finally:
            task.bad.close()


class _Import:
    """One import at work in its folder."""

    def __init__(
        self,
        datasets: DatasetStore,
        name: str,
        declared: Declaration,
        mapping: Mapping | None,
        at: datetime,
        show: Show,
        work: Path,
    ) -> None:
        self._datasets = datasets
        self._name = name
        self._declared = declared
        self._mapping = mapping
        self._at = at
        self._show = show
        self._parts = work / "parts"
        self._done = work / "done"  # what becomes the version
        self._clock = Clock()
        for folder in (self._parts, self._done):
            folder.mkdir(mode=0o700)
        self.bad = BadRows(self._done)

    def table(self, source: TableSource) -> _Table:
        """Read a source and return its values, without the rows that are bad or repeat another."""
        with self._clock("names"):
            named = standardise(source.header, self._declared)
        staged = load(source, named, self._declared, self._parts, self.bad, self._clock, self._show)
        read = staged.rows + len(self.bad.lines)
        with self._clock("duplicates"):
            for fault, repeats in staged.duplicates.found():
                (self.bad.same if repeats else self.bad.rows)([fault])
            same = 0 if self._declared.identity else staged.duplicates.repeated()
            numbers = staged.persons.numbers() if self._declared.person else None
        with self._clock("types"):
            mark = mark_of_table(list(staged.seen.values()))
            readings = [decide(one, staged.seen[one.name], self._declared, table=mark) for one in named]
            columns = tuple(_column(one, self._declared) for one in readings)
        mapper = self._mapping.mapper(columns) if self._mapping else None
        parts = [
            self._settle(number, lines, values, complaints, mapper)
            for number, (lines, values, complaints) in enumerate(self._values(staged, readings, numbers))
        ]
        persons = max((int(one.max() or 0) for one in numbers), default=0) if numbers is not None else None  # type: ignore[arg-type]  # of Int64
        notes = {one.name: one.notes for one in readings}
        return _Table(parts, mapper.columns if mapper else columns, read, same, persons, notes)

    def stored(self, path: Path, described: Description) -> _Table:
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
        return _Table(parts, mapper.columns, described.rows)

    def finish(self, table: _Table, source: TableSource | Origin, *, pictures: bool) -> Imported:
        """Store the values if so many rows may be bad, and write the report in any case."""
        self.bad.close()
        origin = source if isinstance(source, Origin) else source.origin()
        refused = len(self.bad.lines) > self._declared.bad_rows * table.read
        path = self._done / DATA
        with self._clock("store"):
            stored = store(table.parts, path)
            refused = refused or not stored
            columns = counted(path, table.columns) if stored else table.columns
            described = None if refused else self._described(path, columns, stored, origin)
            if self._mapping and described:
                with private_file(self._done / MAPPING) as file:
                    file.write(self._mapping.model_dump_json(indent=2))
        self._show("store", stored, stored, stored)
        if described is not None:
            with self._clock("verify"):
                verify(path, described)
        with self._clock("report"):
            seen = profile(path, columns) if stored else ()
        version = None if described is None else self._datasets.next_version(self._name)
        facts = ImportFacts(
            dataset=self._name,
            version=version,
            at=self._at,
            origin=origin,
            seconds=self._clock.seconds,
            read=table.read,
            stored=stored,
            bad=len(self.bad.lines),
            repeated=len(self.bad.repeated),
            allowed=self._declared.bad_rows,
            same=table.same,
            persons=table.persons,
            reasons=[(column, reason, times) for (column, reason), times in self.bad.reasons.most_common()],
            columns=seen,
            notes=table.notes,
        )
        with self._clock("report"):  # its own page cannot tell all of it
            write(facts, self._done, pictures=pictures)
        if described is None:
            path.unlink(missing_ok=True)
            folder = self._datasets.refuse(self._name, self._done)
            raise BadRowsError(facts.bad, facts.read, facts.allowed, folder)
        described = self._datasets.add(described, self._done)
        return Imported(described, self._datasets.folder(self._name, described.version), facts)

    def _values(
        self, staged: StagedTable, readings: Sequence[Reading], numbers: Sequence[pl.Series] | None
    ) -> Iterator[tuple[pl.Series, pl.DataFrame, list[tuple[str, Complaint, pl.Series]]]]:
        """Yield lines and values of each part, with the complaints about its cells."""
        done = 0
        for position, part in enumerate(staged.parts):
            with self._clock("validate"):
                cells = pl.read_ipc(part)
                part.unlink()
                values, complaints = [], []
                for reading in readings:
                    checked = check(cells[reading.name], reading)
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
        """Write the values of a part without the rows that are left out, and list these."""
        if mapper is not None:
            with self._clock("map"):
                given = values
                values, more = mapper.map(given)
                complaints += [(column, one, given[column].cast(pl.String)) for column, one in more]
        with self._clock("validate"):
            for column, complaint, cells in complaints:
                rows = complaint.rows
                self.bad.cells(column, complaint.reason, zip(lines.filter(rows), cells.filter(rows), strict=True))
            if left_out := self.bad.left_out:
                values = values.filter(~lines.is_in(list(left_out)))
            part = self._parts / f"values-{number:06d}.arrow"
            values.write_ipc(part, compression="lz4")
        return part

    def _described(self, path: Path, columns: tuple[Column, ...], rows: int, origin: Origin) -> Description:
        return Description(
            name=self._name,
            version=1,  # the store gives the number
            rows=rows,
            columns=columns,
            source=DataFile(kind=origin.kind, name=origin.name, bytes=origin.bytes, sha256=origin.sha256),  # type: ignore[arg-type]  # validated
            data=file_of(path),
            imported_at=self._at,
            bad_rows=len(self.bad.lines),
            mapping=self._mapping.digest if self._mapping else None,
            person=next((one.name for one in columns if one.name == self._declared.person), None),
        )


def _column(reading: Reading, declared: Declaration) -> Column:
    person = reading.name == declared.person
    return Column(
        name=reading.name,
        kind=ColumnKind.INTEGER if person else reading.kind,
        missing=0,  # counted when the values are stored
        header=reading.column.header if reading.column.header != reading.name else None,
        label=reading.label,
        unit=reading.unit,
        categories=dict(reading.categories) if reading.categories is not None else None,
        low=reading.low,
        high=reading.high,
    )
