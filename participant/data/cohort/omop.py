"""An OMOP database, Common Data Model 5.4, on PostgreSQL or SQLite.

A record's date is its start date. Values are `value_as_number`, units those of the UCUM vocabulary; where a record has
another unit concept, or none, its unit is told in brackets: `[no unit]`, `[concept 12345]`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    Connection,
    Float,
    Integer,
    Select,
    String,
    TableClause,
    and_,
    case,
    cast,
    column,
    func,
    inspect,
    literal,
    or_,
    select,
    table,
    union,
)
from sqlalchemy.exc import NoSuchTableError

from participant.data.cohort.dialect import AsDouble, DayOf
from participant.data.cohort.language import MEASURED, CohortDefinition, ConceptSet, RecordKind
from participant.data.cohort.relations import ABOVE, BELOW, EXACT, FEMALE, MALE, Relation
from participant.data.model.errors import DeclarationError, SourceError, some

_MALE, _FEMALE = 8507, 8532
_BELOW, _ABOVE = (4171756, 4171754), (4172704, 4171755)  # < and <=, > and >=
_UCUM = "UCUM"


class _Place(NamedTuple):
    """The table of a kind of records, with the columns of its concept and date."""

    table: str
    concept: str
    date: str


_PLACES = {
    RecordKind.CONDITION: _Place("condition_occurrence", "condition_concept_id", "condition_start_date"),
    RecordKind.DRUG: _Place("drug_exposure", "drug_concept_id", "drug_exposure_start_date"),
    RecordKind.PROCEDURE: _Place("procedure_occurrence", "procedure_concept_id", "procedure_date"),
    RecordKind.MEASUREMENT: _Place("measurement", "measurement_concept_id", "measurement_date"),
    RecordKind.OBSERVATION: _Place("observation", "observation_concept_id", "observation_date"),
    RecordKind.VISIT: _Place("visit_occurrence", "visit_concept_id", "visit_start_date"),
    RecordKind.DEVICE: _Place("device_exposure", "device_concept_id", "device_exposure_start_date"),
}


class OmopRelations:
    """The relations of an OMOP database.

    Args:
        cohort: cohort whose concepts are looked up.
        schema: schema of the clinical tables; None for the connection's own.
        vocabulary: schema of the vocabularies, if another.
    """

    undated_deaths = False

    def __init__(self, cohort: CohortDefinition, schema: str | None = None, vocabulary: str | None = None) -> None:
        self._cohort = cohort
        self._schema = schema
        self._vocabulary = vocabulary or schema
        self._sets: dict[str, CTE] = {}

    def persons(self) -> Relation:
        person = self._table(
            "person", "person_id", "year_of_birth", "month_of_birth", "day_of_birth", "gender_concept_id"
        )
        month = person.c.month_of_birth
        day = func.coalesce(person.c.day_of_birth, case((month.is_(None), 1), else_=15))
        return select(
            person.c.person_id.label("person"),
            (person.c.year_of_birth * 10_000 + func.coalesce(month, 7) * 100 + day).label("born"),
            case((person.c.gender_concept_id == _MALE, MALE), (person.c.gender_concept_id == _FEMALE, FEMALE)).label(
                "sex"
            ),
        )

    def periods(self) -> Relation:
        period = self._table(
            "observation_period", "person_id", "observation_period_start_date", "observation_period_end_date"
        )
        return select(
            period.c.person_id.label("person"),
            DayOf(period.c.observation_period_start_date).label("first"),
            DayOf(period.c.observation_period_end_date).label("last"),
        )

    def deaths(self) -> Relation:
        death = self._table("death", "person_id", "death_date")
        return select(death.c.person_id.label("person"), DayOf(death.c.death_date).label("day"))

    def records(self, event: RecordKind, concepts: str) -> Relation:
        place = _PLACES[event]
        records = self._table(place.table, *_columns(event))
        members = self._members(concepts)
        found = select(records.c.person_id.label("person"), DayOf(records.c[place.date]).label("day")).where(
            records.c[place.concept].in_(select(members.c.concept))
        )
        return found if event not in MEASURED else self._measured(found, records)

    def tables(self) -> Iterator[tuple[str, str | None, tuple[str, ...], tuple[str, ...]]]:
        """Yield the tables that the cohort needs: name, schema, columns, and which of these are dates."""
        yield "person", self._schema, (
            "person_id", "year_of_birth", "month_of_birth", "day_of_birth", "gender_concept_id",
        ), ()  # fmt: skip
        dates = ("observation_period_start_date", "observation_period_end_date")
        yield "observation_period", self._schema, ("person_id", *dates), dates
        yield "death", self._schema, ("person_id", "death_date"), ("death_date",)
        for event in sorted({event for _, event in self._cohort.events()}):
            place = _PLACES[event]
            yield place.table, self._schema, _columns(event), (place.date,)
        concept = ("concept_id", "concept_code", "vocabulary_id", "standard_concept")
        yield "concept", self._vocabulary, concept, ()
        yield "concept_ancestor", self._vocabulary, ("ancestor_concept_id", "descendant_concept_id"), ()

    def check(self, connection: Connection, name: str) -> tuple[str, ...]:
        """Look for the tables, columns, dates and concepts that the cohort needs, and return remarks.

        Args:
            connection: connection to the database.
            name: name of the cohort file.

        Raises:
            SourceError: the database is not an OMOP database, or has dates that cannot be read.
            DeclarationError: a concept is in no vocabulary of the database.
        """
        self._check_tables(connection)
        if connection.dialect.name == "sqlite":
            self._check_dates(connection)
        return self._check_concepts(connection, name)

    def _check_tables(self, connection: Connection) -> None:
        inspector = inspect(connection)
        for name, schema, needed, _ in self.tables():
            place = f"schema {schema}" if schema else "the database"
            try:
                there = {one["name"].lower() for one in inspector.get_columns(name, schema)}
            except NoSuchTableError:
                raise SourceError(
                    f"{place} has no table {name} that this user can see; name the schema of the OMOP tables with "
                    "--cdm-schema, and that of the vocabularies with --vocabulary-schema"
                ) from None
            if absent := [one for one in needed if one not in there]:
                raise SourceError(f"table {name} of {place} has no column {some(absent)}, which OMOP CDM 5.4 has")

    def _check_dates(self, connection: Connection) -> None:
        """Refuse dates that SQLite would read as others, or not at all."""
        for name, _, _, dates in self.tables():
            for date in dates:
                if count := connection.execute(_unreadable(self._table(name, date), date)).scalar():
                    raise SourceError(
                        f"{count:,} cells of {name}.{date} are no dates of SQLite: they must be text such as "
                        "2020-01-31, or seconds from 1970 on"
                    )

    def _check_concepts(self, connection: Connection, name: str) -> tuple[str, ...]:
        concept = self._concept()
        remarks = []
        for key, one in self._cohort.concepts.items():
            if not one.include:
                raise DeclarationError(f"{name}: concepts.{key}.include: an OMOP database needs concept IDs")
            asked = [*one.include, *one.exclude]
            rows = connection.execute(
                select(concept.c.concept_id, concept.c.standard_concept).where(concept.c.concept_id.in_(asked))
            )
            known = {one.concept_id: one.standard_concept for one in rows}
            if absent := [one for one in asked if one not in known]:
                raise DeclarationError(
                    f"{name}: concepts.{key}: the vocabularies of this database have no concept {some(absent)}"
                )
            members = self._members(key)
            size = connection.execute(select(func.count()).select_from(members)).scalar() or 0
            if not size:
                raise DeclarationError(f"{name}: concepts.{key}: everything that it includes is excluded again")
            odd = [one for one in asked if known[one] != "S"]
            remarks.append(
                f"concepts.{key}: {size:,} concepts"
                + (f"; not standard, so records hardly carry them: {some(odd)}" if odd else "")
            )
        return tuple(remarks)

    def _measured(self, found: Select[Any], records: TableClause) -> Select[Any]:
        unit = self._concept().alias("unit")
        mark = (
            case(
                (records.c.operator_concept_id.in_(_BELOW), BELOW),
                (records.c.operator_concept_id.in_(_ABOVE), ABOVE),
                else_=EXACT,
            )
            if "operator_concept_id" in records.c
            else literal(EXACT)
        )
        named = case(
            (unit.c.vocabulary_id == _UCUM, unit.c.concept_code),
            (or_(records.c.unit_concept_id.is_(None), records.c.unit_concept_id == 0), "[no unit]"),
            else_=literal("[concept ") + cast(records.c.unit_concept_id, String) + "]",
        )
        return (
            found.add_columns(
                AsDouble(records.c.value_as_number).label("value"), named.label("unit"), mark.label("mark")
            )
            .select_from(records)
            .outerjoin(unit, unit.c.concept_id == records.c.unit_concept_id)
        )

    def _members(self, name: str) -> CTE:
        """Return the concepts of a set; several statements use it, each as a step of its own name."""
        if name not in self._sets:
            one = self._cohort.concepts[name]
            found = self._with_descendants(one.include, one)
            if one.exclude:
                found = found.except_(self._with_descendants(one.exclude, one))
            self._sets[name] = found.cte(f"concepts_{name}")
        return self._sets[name]

    def _with_descendants(self, given: tuple[int, ...], one: ConceptSet) -> Any:
        concept = self._concept()
        found = select(concept.c.concept_id.label("concept")).where(concept.c.concept_id.in_(given))
        if not one.descendants:
            return found
        ancestor = self._table(
            "concept_ancestor", "ancestor_concept_id", "descendant_concept_id", schema=self._vocabulary
        )
        below = select(ancestor.c.descendant_concept_id).where(ancestor.c.ancestor_concept_id.in_(given))
        return select(union(found, below).subquery("found").c.concept)

    def _concept(self) -> TableClause:
        return self._table(
            "concept", "concept_id", "concept_code", "vocabulary_id", "standard_concept", schema=self._vocabulary
        )

    def _table(self, name: str, *names: str, schema: str | None = None) -> TableClause:
        return table(name, *(column(one, _kind(one)) for one in names), schema=schema or self._schema)


def _kind(name: str) -> Any:
    """Return the type of a column; that of a date is left to the database."""
    if name in {"concept_code", "vocabulary_id", "standard_concept"}:
        return String()
    if name == "value_as_number":
        return Float()
    return None if name.endswith("_date") else Integer()


def _unreadable(records: TableClause, date: str) -> Select[Any]:
    """Return a statement that counts dates that SQLite would read as another one, or not at all.

    Numbers such as 20200131 would pass for seconds.
    """
    day = records.c[date]
    kind, text = func.typeof(day), func.substr(day, 1, 10)
    wrong = case(
        (and_(kind == "text", func.coalesce(func.date(text, "+0 days") == text, False)), 0),
        (and_(kind.in_(["integer", "real"]), ~cast(day, Integer).between(18_000_101, 21_001_231)), 0),
        else_=1,
    )
    return select(func.sum(wrong)).where(day.is_not(None))


def _columns(event: RecordKind) -> tuple[str, ...]:
    """Return the columns that are read of the table of a kind of records."""
    place = _PLACES[event]
    return (
        "person_id",
        place.concept,
        place.date,
        *(("value_as_number", "unit_concept_id") if event in MEASURED else ()),
        *(("operator_concept_id",) if event is RecordKind.MEASUREMENT else ()),
    )
