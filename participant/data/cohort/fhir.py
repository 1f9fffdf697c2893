"""A folder of FHIR resources as the relations of a cohort.

The folder is read once, line by line, into a database of SQLite that exists in a nameless temporary file alone: it is
gone with the process, even if that is killed. It keeps only the records whose codes the cohort names, and a short row
for each resource, so that the last of several versions counts, and references can be checked. Memory holds a line and a
cache.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from sqlalchemy import Column, Engine, Float, Integer, MetaData, String, Table, create_engine, literal, select
from sqlalchemy.pool import StaticPool

from participant.data.cohort.dialect import day_number
from participant.data.cohort.language import CohortDefinition, FhirRules, RecordKind
from participant.data.cohort.ndjson import Line, files_of, lines_of
from participant.data.cohort.relations import Relation
from participant.data.cohort.resources import Day, Facts, Person, Resource
from participant.data.model.errors import DeclarationError, SourceError

_KINDS = {
    RecordKind.CONDITION: "Condition",
    RecordKind.MEASUREMENT: "Observation",
    RecordKind.OBSERVATION: "Observation",
}
_TABLES = """
CREATE TABLE resource (
    number INTEGER PRIMARY KEY, kind TEXT, id TEXT, file INTEGER, line INTEGER, changed INTEGER, version INTEGER,
    digest BLOB, patient TEXT, UNIQUE (kind, id)
);
CREATE TABLE person (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, born INTEGER, sex INTEGER, dead INTEGER, death INTEGER
);
CREATE TABLE record (
    number INTEGER PRIMARY KEY, resource INTEGER, kind TEXT, patient TEXT, day INTEGER, value REAL, unit TEXT,
    mark INTEGER
);
CREATE TABLE coding (record INTEGER, code TEXT);
CREATE TABLE note (resource INTEGER, words TEXT);
"""
_INDEXES = """
CREATE INDEX record_patient ON record (patient);
CREATE INDEX coding_code ON coding (code, record);
ANALYZE;
"""
_CACHE_KIB = 64 << 10
_LONGEST_KIND = 40
_META = MetaData()
_PERSON = Table(
    "person", _META, Column("number", Integer), Column("id", String), Column("born", Integer), Column("sex", Integer),
    Column("dead", Integer), Column("death", Integer),
)  # fmt: skip
_RECORD = Table(
    "record", _META, Column("number", Integer), Column("kind", String), Column("patient", String),
    Column("day", Integer), Column("value", Float), Column("unit", String), Column("mark", Integer),
)  # fmt: skip
_CODING = Table("coding", _META, Column("record", Integer), Column("code", String))


class FhirRelations:
    """The relations of a folder that was read.

    Args:
        cohort: cohort with the codes of its concepts, and rules for FHIR.
    """

    undated_deaths = True

    def __init__(self, cohort: CohortDefinition) -> None:
        self._cohort = cohort

    def persons(self) -> Relation:
        return select(_PERSON.c.number.label("person"), _PERSON.c.born, _PERSON.c.sex)

    def periods(self) -> Relation:
        assert self._cohort.fhir is not None
        first, last = (literal(day_number(one)) for one in self._cohort.fhir.dates)
        return select(_PERSON.c.number.label("person"), first.label("first"), last.label("last"))

    def deaths(self) -> Relation:
        return select(_PERSON.c.number.label("person"), _PERSON.c.death.label("day")).where(_PERSON.c.dead == 1)

    def records(self, event: RecordKind, concepts: str) -> Relation:
        codes = self._cohort.concepts[concepts].codes
        return (
            select(_PERSON.c.number.label("person"), _RECORD.c.day, _RECORD.c.value, _RECORD.c.unit, _RECORD.c.mark)
            .select_from(_RECORD)
            .join(_PERSON, _PERSON.c.id == _RECORD.c.patient)
            .where(
                _RECORD.c.kind == _KINDS[event],
                _RECORD.c.number.in_(select(_CODING.c.record).where(_CODING.c.code.in_(codes))),
            )
        )


def check_cohort(cohort: CohortDefinition, name: str) -> FhirRules:
    """Return the rules for FHIR of a cohort from file `name`.

    Raises:
        DeclarationError: the cohort asks for what a folder of FHIR resources cannot say.
    """
    if cohort.fhir is None:
        raise DeclarationError(f"{name}: fhir.dates is missing: the first and last date that the export covers")
    for place, kind in cohort.events():
        if kind not in _KINDS:
            raise DeclarationError(f"{name}: {place}: {kind} is not read from FHIR; known are {', '.join(_KINDS)}")
    for place, concepts in cohort.uses():
        if not cohort.concepts[concepts].codes:
            raise DeclarationError(f"{name}: {place}: FHIR needs codes in concepts.{concepts}, 'system|code'")
    return cohort.fhir


class FhirFolder:
    """Reads a folder into a database.

    Args:
        folder: the folder.
        cohort: the cohort; records with other codes are not kept.
        rules: its rules for FHIR.

    Raises:
        SourceError: the folder or a resource cannot be read, or a reference leads nowhere.
    """

    def __init__(self, folder: Path, cohort: CohortDefinition, rules: FhirRules) -> None:
        self._files = files_of(folder)
        self._cohort, self._rules = cohort, rules
        self._codes = {code for one in cohort.concepts.values() for code in one.codes}
        self._read: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{_CACHE_KIB}; {_TABLES}"
        )
        self._database.execute("BEGIN")
        for line in lines_of(self._files):
            self._take(line, Resource(line.content, line.place))
        self._database.execute("COMMIT")
        self._check_references()
        self._database.executescript(_INDEXES)

    def engine(self) -> Engine:
        """Return an engine for the database, whose only connection is the one that filled it."""
        return create_engine("sqlite://", creator=lambda: self._database, poolclass=StaticPool)

    def notes(self) -> Iterator[str]:
        """Yield notes for the report on what was read, and what was not."""
        read = ", ".join(f"{kind} ({count:,})" for kind, count in sorted(self._read.items()))
        yield f"{len(self._files):,} files with {read or 'no resource'}"
        yield "days are those that are written, whatever their time zone"
        told = Counter(dict(self._database.execute("SELECT words, count(*) FROM note GROUP BY words")))
        yield from (f"{words} ({count:,})" for words, count in (self._notes + told).most_common())
        for name, one in self._cohort.concepts.items():
            marks = ", ".join("?" * len(one.codes))
            statement = f"SELECT count(DISTINCT record) FROM coding WHERE code IN ({marks})"  # noqa: S608 - marks alone
            (count,) = self._database.execute(statement, one.codes).fetchone()
            yield f"concepts.{name}: {count:,} records" + ("" if count else "; are its codes right?")

    def _take(self, line: Line, resource: Resource) -> None:
        self._read[resource.kind[:_LONGEST_KIND]] += 1
        match resource.kind:
            case "Patient":
                person = resource.person()
                if (number := self._number(line, resource, None)) is not None:
                    self._keep_person(number, resource.id, person)
            case "Condition" | "Observation":
                facts = resource.condition() if resource.kind == "Condition" else resource.observation()
                if (number := self._number(line, resource, facts.patient)) is not None:
                    self._keep_records(number, resource.kind, facts)

    def _number(self, line: Line, resource: Resource, patient: str | None) -> int | None:
        """Return the number of a resource, None if a later version of it was read before."""
        digest = blake2b(line.data.strip(), digest_size=16).digest()
        version = resource.version()
        row = (line.file, line.number, version.changed, version.number, digest, patient)
        added = self._database.execute(
            "INSERT INTO resource (file, line, changed, version, digest, patient, kind, id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*row, resource.kind, resource.id),
        )
        if added.rowcount:
            return added.lastrowid
        number, file, place, changed, other, same = self._database.execute(
            "SELECT number, file, line, changed, version, digest FROM resource WHERE kind = ? AND id = ?",
            (resource.kind, resource.id),
        ).fetchone()
        if same == digest:
            self._notes["left out: copies of a resource"] += 1
            return None
        later = _later((version.changed, changed), (version.number, other))
        if later is None:
            raise SourceError(
                f"{line.place} and {self._files[file].name}, line {place} are two versions of one {resource.kind}, and "
                "neither meta.lastUpdated nor meta.versionId says which is the later one"
            )
        self._notes["left out: earlier versions of a resource"] += 1
        if not later:
            return None
        for table, key in (("person", "number"), ("record", "resource"), ("note", "resource")):
            if table == "record":
                self._database.execute(
                    "DELETE FROM coding WHERE record IN (SELECT number FROM record WHERE resource = ?)", (number,)
                )
            self._database.execute(f"DELETE FROM {table} WHERE {key} = ?", (number,))  # noqa: S608 - our names
        self._database.execute(
            "UPDATE resource SET file = ?, line = ?, changed = ?, version = ?, digest = ?, patient = ? "
            "WHERE number = ?",
            (*row, number),
        )
        return int(number)

    def _keep_person(self, number: int, name: str, person: Person) -> None:
        if person.replaced:
            self._note(number, "patients that another one replaces, as they say: they count as persons")
        if person.partly_born:
            self._note(number, "dates of birth without a day: taken as the middle of the month or year")
        death = self._known(number, person.death, "deaths")
        self._database.execute(
            "INSERT INTO person VALUES (?, ?, ?, ?, ?, ?)", (number, name, person.born, person.sex, person.dead, death)
        )

    def _keep_records(self, number: int, kind: str, facts: Facts) -> None:
        wanted = [fact for fact in facts.facts if fact.codes & self._codes]
        if not wanted:
            return
        if facts.void:
            self._note(number, f"left out: {facts.void}")
        elif facts.patient is None:
            self._note(number, f"left out: {kind}s of no patient")
        elif facts.day is None:
            self._note(number, f"left out: {kind}s without a date")
        elif (day := self._known(number, facts.day, f"{kind}s")) is not None:
            for fact in wanted:
                record = self._database.execute(
                    "INSERT INTO record (resource, kind, patient, day, value, unit, mark) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (number, kind, facts.patient, day, fact.value, fact.unit, fact.mark),
                ).lastrowid
                self._database.executemany(
                    "INSERT INTO coding VALUES (?, ?)", [(record, code) for code in fact.codes & self._codes]
                )

    def _known(self, number: int, day: Day | None, what: str) -> int | None:
        """Return a day, unless it is partial and the rules leave such days out."""
        if day is None or not day.partial:
            return day and day.day
        if self._rules.partial_dates == "leave-out":
            self._note(number, f"left out: days of {what} of which only month or year are known")
            return None
        self._note(number, f"days of {what} of which only month or year are known: taken as the middle")
        return day.day

    def _note(self, number: int, words: str) -> None:
        self._database.execute("INSERT INTO note VALUES (?, ?)", (number, words))

    def _check_references(self) -> None:
        """Refuse records of patients that the folder does not hold, unless the rules leave them out."""
        lost = "FROM resource WHERE patient IS NOT NULL AND patient NOT IN (SELECT id FROM person)"
        (count,) = self._database.execute(f"SELECT count(*) {lost}").fetchone()
        if not count:
            return
        if self._rules.unknown_patients == "leave-out":
            self._notes["left out: resources of patients who are not in the folder"] += count
            return
        file, line = self._database.execute(f"SELECT file, line {lost} ORDER BY file, line LIMIT 1").fetchone()
        raise SourceError(
            f"{count:,} resources are about patients whom the folder does not hold, the first in "
            f"{self._files[file].name}, line {line}. Is the export complete? [fhir] unknown_patients = 'leave-out' "
            "leaves them out"
        )


def _later(changed: tuple[int | None, int | None], version: tuple[int | None, int | None]) -> bool | None:
    """Return whether the first of two versions is the later one, None if that cannot be said."""
    for mine, other in (changed, version):
        if mine is not None and other is not None and mine != other:
            return mine > other
    return None
