"""An import: from a source to a new version of a dataset, in named and timed steps, with a report in any case.

    load, names, duplicates, types, validate, map, store, verify, report

The report and the list of bad rows stay beside the dataset, even when the import is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from participant.data.model.declaration import Declaration
from participant.data.model.description import Column, DataFile, Description
from participant.data.model.errors import BadRowsError
from participant.data.model.private import private_file
from participant.data.model.profile import profile
from participant.data.model.progress import Clock, Show, nowhere
from participant.data.model.summary import ImportSummary
from participant.data.pipeline.mapping import NAME as MAPPING
from participant.data.pipeline.mapping import Mapping
from participant.data.pipeline.reading import TableReader, TableValues
from participant.data.report.facts import ImportFacts
from participant.data.report.write import write
from participant.data.sources import Origin, TableSource
from participant.data.steps.bad_rows import BadRows
from participant.data.steps.store import counted, file_of, store
from participant.data.steps.verify import verify
from participant.data.store.store import DATA, DatasetStore


class Imported(NamedTuple):
    """The outcome of an import: the new version, the folder with its report, and the facts in the report."""

    description: Description
    folder: Path
    facts: ImportFacts

    @property
    def summary(self) -> ImportSummary:
        """The summary that a command gives."""
        facts = self.facts
        counts = (facts.read, facts.bad, facts.repeated)
        return ImportSummary(self.description, self.folder, facts.seconds, *counts, facts.origin.attrition)


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
        datasets: store for the new version.
        name: name of the dataset: a letter, then up to 63 letters, digits and ``. _ -``.
        source: source of the table.
        imported_at: the time, with its zone.
        declared: declaration of the table; empty by default.
        mapping: mapping to a project's variables, if any.
        show: function that shows the progress.
        pictures: whether the report has pictures.

    Raises:
        DatasetNameError, SourceError, HeaderError, DeclarationError: as their names say; nothing was stored.
        BadRowsError: more rows are bad than the declaration allows; report and list of bad rows were kept.
    """
    with _at_work(datasets, name, declared or Declaration(), mapping, imported_at, show) as task:
        return task.finish(task.reader.table(source), source, pictures=pictures)


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
        NoSuchDatasetError, DamagedDatasetError, DeclarationError, BadRowsError: as their names say; nothing was stored.
    """
    described = datasets.verify(name)
    path = datasets.folder(name, described.version) / DATA
    with _at_work(
        datasets, name, Declaration(person=described.person).allowing(bad_rows), mapping, mapped_at, show
    ) as task:
        origin = Origin("dataset", f"{name} version {described.version}", described.data.bytes, described.data.sha256)
        return task.finish(task.reader.stored(path, described), origin, pictures=True)


@contextmanager
def _at_work(
    datasets: DatasetStore, name: str, declared: Declaration, mapping: Mapping | None, at: datetime, show: Show
) -> Iterator["_Import"]:
    """Provide an import with a folder to work in, and clear away its leftovers."""
    with datasets.unfinished(name) as work:
        task = _Import(datasets, name, declared, mapping, at, show, work)
        try:
            yield task
        finally:
            task.bad.close()


class _Import:
    """One import in progress in its folder."""

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
        self._done = work / "done"  # becomes the version
        self._clock = Clock()
        parts = work / "parts"
        for folder in (parts, self._done):
            folder.mkdir(mode=0o700)
        self.bad = BadRows(self._done)
        self.reader = TableReader(parts, declared, self.bad, mapping=mapping, clock=self._clock, show=show)

    def finish(self, table: TableValues, source: TableSource | Origin, *, pictures: bool) -> Imported:
        """Store the values unless too many rows are bad, and write the report in any case."""
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
            remarks=table.remarks,
        )
        with self._clock("report"):  # the page cannot show all of its own time
            write(facts, self._done, pictures=pictures)
        if described is None:
            path.unlink(missing_ok=True)
            folder = self._datasets.refuse(self._name, self._done)
            raise BadRowsError(facts.bad, facts.read, facts.allowed, folder)
        described = self._datasets.add(described, self._done)
        return Imported(described, self._datasets.folder(self._name, described.version), facts)

    def _described(self, path: Path, columns: tuple[Column, ...], rows: int, origin: Origin) -> Description:
        return Description(
            name=self._name,
            version=1,  # the store assigns the number
            rows=rows,
            columns=columns,
            source=DataFile(kind=origin.kind, name=origin.name, bytes=origin.bytes, sha256=origin.sha256),
            data=file_of(path),
            imported_at=self._at,
            bad_rows=len(self.bad.lines),
            mapping=self._mapping.digest if self._mapping else None,
            person=next((one.name for one in columns if one.name == self._declared.person), None),
        )
