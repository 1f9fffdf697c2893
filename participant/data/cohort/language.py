"""The cohort file: who is in a cohort, from which day on, what happens to them, and what was known before.

    [concepts.diabetes]                   # a set of concepts, named where it is used
    include = [201826]                    # OMOP: concept IDs, each with its descendants
    exclude = [435216]                    # OMOP: not these, nor their descendants
    codes = ["http://snomed.info/sct|44054006"]   # FHIR: system|code, as records carry them

    [index]                               # day 0 of a person
    event = "condition"
    concepts = "diabetes"
    dates = [2012-01-01, 2020-12-31]
    observed = 365                        # days of observation before it
    age = [18, 90]

    [exclude.heart_failure]               # nobody with such a record; [require.NAME]: only persons with one
    event = "condition"
    concepts = "heart_failure"
    days = ["ever", 0]                    # days from the index day, first and last

    [follow_up]
    days = 1825
    until = 2022-12-31

    [outcomes.infarction]                 # columns infarction_time and infarction_event
    event = "condition"
    concepts = "infarction"

    [variables.age]
    of = "age"

    [variables.hba1c]
    event = "measurement"
    concepts = "hba1c"
    days = [-365, 0]
    statistic = "last"
    unit = "%"                            # UCUM, in both kinds of databases
    units = { "mmol/mol" = { factor = 0.09148, offset = 2.152 } }

Windows include both of their days. All members are checked strictly: nothing is guessed from a misspelt one.
"""

import json
import tomllib
from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from participant.data.model.declaration import MAX_FILE_BYTES, Conversion, Text, Unit
from participant.data.model.errors import DeclarationError, some
from participant.statistics.language.query import Strict, in_words

MAX_CRITERIA = 25  # of each kind; SQLite joins at most 64 tables
MAX_VARIABLES = 250  # of up to four columns each; PostgreSQL selects at most 1,664
MAX_DAYS = 73_000  # two hundred years
Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""A name in lower case, so that databases cannot confuse two of them."""

ConceptId = Annotated[int, Field(ge=1, lt=1 << 31)]
Code = Annotated[str, StringConstraints(pattern=r"^[^|\s]+\|[^|\s][^|]*$", max_length=300)]
Offset = Annotated[int, Field(ge=-MAX_DAYS, le=MAX_DAYS)]
Years = Annotated[int, Field(ge=0, le=130)]
Dates = tuple[date, date]


class RecordKind(StrEnum):
    """Kinds of records."""

    CONDITION = "condition"
    DRUG = "drug"
    PROCEDURE = "procedure"
    MEASUREMENT = "measurement"
    OBSERVATION = "observation"
    VISIT = "visit"
    DEVICE = "device"


MEASURED = frozenset({RecordKind.MEASUREMENT, RecordKind.OBSERVATION})
"""Kinds of records that have a value with a unit."""


class ConceptSet(Strict):
    """A set of concepts.

    Attributes:
        include, exclude: concept IDs of an OMOP vocabulary.
        descendants: whether their descendants belong to them.
        codes: codes of FHIR resources, `system|code`.
    """

    include: tuple[ConceptId, ...] = Field(default=(), max_length=5000)
    exclude: tuple[ConceptId, ...] = Field(default=(), max_length=5000)
    descendants: bool = True
    codes: tuple[Code, ...] = Field(default=(), max_length=5000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.include and not self.codes:
            raise ValueError("a set of concepts needs include = [IDs] for OMOP, codes = [...] for FHIR, or both")
        if both := sorted({*self.include} & {*self.exclude}):
            raise ValueError(f"concept {some(both)} is included and excluded")
        return self


class RecordWindow(Strict):
    """Records of some concepts in a window around the index day.

    Attributes:
        event, concepts: kind of the records, and name of their concepts.
        days: first and last day from the index day; `ever` is as far back as the data go.
    """

    event: RecordKind
    concepts: Key
    days: tuple[Offset | Literal["ever"], Offset]

    @property
    def first(self) -> int | None:
        """The first day from the index day, None for as far back as the data go."""
        return None if self.days[0] == "ever" else self.days[0]

    @property
    def last(self) -> int:
        """The last day from the index day."""
        return self.days[1]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first is not None and self.first > self.last:
            raise ValueError("the window ends before it begins")
        return self


class IndexEvent(Strict):
    """The index event, whose day is day 0 of a person.

    Attributes:
        occurrence: `first`, a person's first record of all, which must lie in `dates`; or `first-in-dates`.
        dates: first and last date of index days.
        observed: days of observation before the index day.
        age: completed years on the index day, lowest and highest.
    """

    event: RecordKind
    concepts: Key
    occurrence: Literal["first", "first-in-dates"] = "first"
    dates: Dates | None = None
    observed: Annotated[int, Field(ge=0, le=MAX_DAYS)] = 0
    age: tuple[Years, Years] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dates is not None and self.dates[0] > self.dates[1]:
            raise ValueError("dates: the last one is before the first one")
        if self.age is not None and self.age[0] > self.age[1]:
            raise ValueError("age: the highest one is below the lowest one")
        if self.occurrence == "first-in-dates" and self.dates is None:
            raise ValueError("first-in-dates needs dates = [first, last]")
        return self


class FollowUp(Strict):
    """The end of follow-up: the earliest of death, end of observation, and what is given here.

    Attributes:
        days: days after the index day.
        until: last date of the study.
    """

    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] | None = None
    until: date | None = None


class CohortOutcome(Strict):
    """A time to an event: columns NAME_time, in days, and NAME_event.

    Attributes:
        event: kind of record, or `death`.
        concepts: concepts of the records.
        death: whether a death before the event `censors`, `competes` (NAME_event is 2), or `counts` as the event.
        label: label in words.
    """

    event: RecordKind | Literal["death"]
    concepts: Key | None = None
    death: Literal["censors", "competes", "counts"] = "censors"
    label: Text = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.event == "death") != (self.concepts is None):
            raise ValueError("an outcome is a death, or has concepts")
        if self.event == "death" and self.death != "censors":
            raise ValueError("death says what a death before another event means; here it is the event")
        return self


class Feature(StrEnum):
    """What a variable says about its records."""

    PRESENCE = "presence"
    COUNT = "count"
    DAYS = "days"
    DAYS_SINCE = "days-since"
    FIRST = "first"
    LAST = "last"
    MEAN = "mean"
    LOWEST = "lowest"
    HIGHEST = "highest"


VALUES = frozenset({Feature.FIRST, Feature.LAST, Feature.MEAN, Feature.LOWEST, Feature.HIGHEST})
"""Statistics of the records' values; the others are about the records themselves."""


class Covariate(Strict):
    """A covariate.

    Attributes:
        of: `age` in completed years, `sex`, or `year` of the index day; the other members are then not given.
        event, concepts, days: the records, as in a window.
        statistic: `presence`, `count` of records, number of different `days`, `days-since` the last; or of values,
            `first`, `last`, `mean`, `lowest`, `highest`.
        unit: unit of the variable, as a UCUM code.
        units: other units that records may have, and the conversion of each.
        same_day: the value of a day with several, for `first` and `last`.
        limits: values known only to be below or above a limit: `apart`, in NAME_below and NAME_above alone; or `value`,
            the limit is the value as well.
        label: label in words.
    """

    of: Literal["age", "sex", "year"] | None = None
    event: RecordKind | None = None
    concepts: Key | None = None
    days: tuple[Offset | Literal["ever"], Offset] | None = None
    statistic: Feature | None = None
    unit: Unit | None = None
    units: dict[Unit, Conversion] = Field(default_factory=dict, max_length=50)
    same_day: Literal["mean", "lowest", "highest"] = "mean"
    limits: Literal["apart", "value"] = "apart"
    label: Text = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.model_fields_set - {"label"}
        if self.of is not None:
            if given != {"of"}:
                raise ValueError("of = ... has no other members than a label")
            return self
        if absent := [name for name in ("event", "concepts", "days", "statistic") if getattr(self, name) is None]:
            raise ValueError(f"a variable needs of = 'age', 'sex' or 'year'; or all of {some(absent)}")
        self.window()  # checked as any other
        if not self.measures:
            if odd := sorted(given & {"unit", "units", "same_day", "limits"}):
                raise ValueError(f"{odd[0]} belongs to statistics of values: {', '.join(sorted(VALUES))}")
            return self
        if "same_day" in given and self.statistic not in {Feature.FIRST, Feature.LAST}:
            raise ValueError("same_day belongs to first and last; others take the values of all days")
        if self.event not in MEASURED:
            raise ValueError(f"records of kind {self.event} have no values: statistic is presence, count, days ...")
        if self.unit is None:
            raise ValueError("a statistic of values needs a unit, as a UCUM code; '1' for none")
        if self.unit in self.units:
            raise ValueError(f"{self.unit} is the variable's own unit and needs no conversion")
        if any(one.factor < 0 for one in self.units.values()):
            raise ValueError("a factor must be positive, so that what is below a limit stays below it")
        return self

    def window(self) -> RecordWindow:
        """Return the records that the variable is about."""
        assert self.event is not None
        assert self.concepts is not None
        assert self.days is not None
        return RecordWindow(event=self.event, concepts=self.concepts, days=self.days)

    @property
    def always_known(self) -> bool:
        """Whether nobody lacks a value."""
        return self.of == "year" or self.statistic in {Feature.PRESENCE, Feature.COUNT, Feature.DAYS}

    @property
    def measures(self) -> bool:
        """Whether it is a statistic of values."""
        return self.statistic in VALUES


class FhirRules(Strict):
    """What a folder of FHIR resources cannot say by itself.

    Attributes:
        dates: first and last date that the export covers: a person is observed between them.
        partial_dates: records dated by year or month alone: `leave-out`, or taken as the `middle` of it.
        unknown_patients: records of patients that the folder does not hold: `refuse` the folder, or `leave-out`.
    """

    dates: Dates
    partial_dates: Literal["leave-out", "middle"] = "leave-out"
    unknown_patients: Literal["refuse", "leave-out"] = "refuse"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dates[0] > self.dates[1]:
            raise ValueError("dates: the last one is before the first one")
        return self


class CohortDefinition(Strict):
    """A cohort file; see the module."""

    label: Text = ""
    concepts: dict[Key, ConceptSet] = Field(min_length=1, max_length=500)
    index: IndexEvent
    require: dict[Key, RecordWindow] = Field(default_factory=dict, max_length=MAX_CRITERIA)
    exclude: dict[Key, RecordWindow] = Field(default_factory=dict, max_length=MAX_CRITERIA)
    follow_up: FollowUp = FollowUp()
    outcomes: dict[Key, CohortOutcome] = Field(default_factory=dict, max_length=50)
    variables: dict[Key, Covariate] = Field(default_factory=dict, max_length=MAX_VARIABLES)
    fhir: FhirRules | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.outcomes and not self.variables:
            raise ValueError("a cohort needs outcomes or variables: it would have no column")
        if not self.outcomes and not any(one.always_known for one in self.variables.values()):
            raise ValueError("a cohort needs a column that everybody has: an outcome, a year, a presence or a count")
        places = dict(self.uses())
        if unknown := [f"{place} = '{name}'" for place, name in places.items() if name not in self.concepts]:
            raise ValueError(f"{some(unknown)}: there is no such set below [concepts]")
        if idle := sorted({*self.concepts} - {*places.values()}):
            raise ValueError(f"concepts.{idle[0]} is used nowhere")
        names = self.columns
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two columns would be called {some(repeated)}")
        return self

    def uses(self) -> Iterator[tuple[str, str]]:
        """Yield each place that names a set of concepts, and the set's name."""
        yield "index.concepts", self.index.concepts
        for group, windows in (("require", self.require), ("exclude", self.exclude)):
            for name, window in windows.items():
                yield f"{group}.{name}.concepts", window.concepts
        for name, outcome in self.outcomes.items():
            if outcome.concepts is not None:
                yield f"outcomes.{name}.concepts", outcome.concepts
        for name, variable in self.variables.items():
            if variable.concepts is not None:
                yield f"variables.{name}.concepts", variable.concepts

    def events(self) -> Iterator[tuple[str, RecordKind]]:
        """Yield each place that names a kind of record, and the kind."""
        yield "index.event", self.index.event
        for group, windows in (("require", self.require), ("exclude", self.exclude)):
            for name, window in windows.items():
                yield f"{group}.{name}.event", window.event
        for name, outcome in self.outcomes.items():
            if isinstance(outcome.event, RecordKind):
                yield f"outcomes.{name}.event", outcome.event
        for name, variable in self.variables.items():
            if variable.event is not None:
                yield f"variables.{name}.event", variable.event

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in their order."""
        return (
            *(f"{name}{end}" for name in self.outcomes for end in ("_time", "_event")),
            *(
                f"{name}{end}"
                for name, variable in self.variables.items()
                for end in (("", "_below", "_above") if variable.measures else ("",))
            ),
        )


class CohortFile(Strict):
    """The text of a cohort file, as it goes to the process that imports.

    Attributes:
        name: name of the file, for errors and the report.
        text: its contents.
    """

    name: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        return sha256(self.text.encode()).hexdigest()

    def parse(self) -> CohortDefinition:
        """Return the cohort.

        Raises:
            DeclarationError: the text is not TOML, or no cohort; the message names line and column, or the member.
        """
        if len(self.text) > MAX_FILE_BYTES:
            raise DeclarationError(f"{self.name} has more than {MAX_FILE_BYTES:,} characters")
        try:
            content = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise DeclarationError(f"{self.name} is not a TOML file: {error}") from None
        try:  # by way of JSON, whose strict reading takes lists and dates for what they are and no text for a number
            return CohortDefinition.model_validate_json(json.dumps(content, default=str))
        except ValidationError as error:
            raise DeclarationError(f"{self.name}: {in_words(error, CohortDefinition)}") from None
