"""FHIR resources (R4 to R5): what a cohort needs of a Patient, a Condition and an Observation.

A date is the day as it is written, whatever its time zone. A date of a year or a month alone is partial: `Day` says so,
and its `day` is the middle, the 1st of July or the 15th. No message holds a value, not even a wrong one.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from math import inf, isfinite
from typing import Any, NamedTuple

from participant.data.cohort.dialect import day_number
from participant.data.cohort.relations import ABOVE, BELOW, EXACT, FEMALE, MALE
from participant.data.model.errors import SourceError

_UCUM = "http://unitsofmeasure.org"
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)?)?")
_REFERENCE = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_SEXES = {"female": FEMALE, "male": MALE}
_MARKS = {None: EXACT, "<": BELOW, "<=": BELOW, ">": ABOVE, ">=": ABOVE}
_STATES = frozenset({"final", "amended", "corrected", "appended"})
_DENIED = frozenset({"refuted", "entered-in-error"})
_LONGEST = 60

Json = Mapping[str, Any]


class Day(NamedTuple):
    """A day as a number from 1970-01-01 on, and whether only its month or year is known."""

    day: int
    partial: bool


class ResourceVersion(NamedTuple):
    """When a resource was changed, in microseconds from 1970 on, and the number of its version; None if not known."""

    changed: int | None
    number: int | None


class Person(NamedTuple):
    """A patient.

    Attributes:
        born: date of birth as YYYYMMDD, a partial one as its middle.
        partly_born: whether that date is partial.
        sex: `FEMALE`, `MALE`, or None.
        dead: whether they died.
        death: day of the death, if known.
        replaced: whether the resource says that another one took its place.
    """

    born: int | None
    partly_born: bool
    sex: int | None
    dead: bool
    death: Day | None
    replaced: bool


class Fact(NamedTuple):
    """A condition or a measured value of a patient.

    Attributes:
        codes: its codes, `system|code`.
        value, unit, mark: value with its unit and mark, of an observation.
    """

    codes: frozenset[str]
    value: float | None = None
    unit: str = ""
    mark: int = EXACT


class Facts(NamedTuple):
    """The facts in a resource.

    Attributes:
        patient: ID of the patient, None if it is about something else.
        day: their day, if there is one.
        facts: the facts, several for an observation with components.
        void: why the resource says nothing, such as a refuted diagnosis; empty if it does.
    """

    patient: str | None
    day: Day | None
    facts: tuple[Fact, ...]
    void: str = ""


class Resource:
    """A resource of a line; raises SourceError, with the place, for what FHIR does not allow.

    Args:
        content: the JSON object.
        place: its place, for errors.
    """

    def __init__(self, content: Json, place: str) -> None:
        self._content = content
        self._place = place
        self.kind = self._text(content, "resourceType")
        if self.kind == "Bundle":
            raise self._wrong("is a Bundle: each line must be one resource, as bulk exports write them")

    @property
    def id(self) -> str:
        """Its ID."""
        return self._text(self._content, "id")

    def version(self) -> ResourceVersion:
        """Return when it was changed, and the number of its version."""
        meta = self._member(self._content, "meta", dict) or {}
        number = self._member(meta, "versionId", str)
        stamp = self._member(meta, "lastUpdated", str)
        if stamp is None:
            return ResourceVersion(None, _whole(number))
        try:
            changed = datetime.fromisoformat(stamp)
        except ValueError:
            raise self._wrong("has no date and time in meta.lastUpdated") from None
        changed = changed if changed.tzinfo else changed.replace(tzinfo=UTC)
        return ResourceVersion(int(changed.timestamp() * 1_000_000), _whole(number))

    def person(self) -> Person:
        """Return what a Patient says."""
        content = self._content
        born = self._day(content, "birthDate")
        death = self._day(content, "deceasedDateTime")
        dead = death is not None or bool(self._member(content, "deceasedBoolean", bool))
        links = self._list(content, "link")
        return Person(
            None if born is None else int(_day_of(born.day).strftime("%Y%m%d")),
            born is not None and born.partial,
            _SEXES.get(self._member(content, "gender", str) or ""),
            dead,
            death,
            any(self._member(one, "type", str) == "replaced-by" for one in links),
        )

    def condition(self) -> Facts:
        """Return what a Condition says: its onset, or else the day on which it was recorded."""
        content = self._content
        status = self._concept(self._member(content, "verificationStatus", dict))
        denied = {one.rpartition("|")[2] for one in status} & _DENIED
        period = self._member(content, "onsetPeriod", dict) or {}
        day = self._day(content, "onsetDateTime") or self._day(period, "start") or self._day(content, "recordedDate")
        codes = frozenset(self._concept(self._member(content, "code", dict)))
        return Facts(self._patient("subject"), day, (Fact(codes),), f"conditions {min(denied)}" if denied else "")

    def observation(self) -> Facts:
        """Return what an Observation says, and each of its components."""
        content = self._content
        status = self._text(content, "status")
        period = self._member(content, "effectivePeriod", dict) or {}
        day = (
            self._day(content, "effectiveDateTime")
            or self._day(content, "effectiveInstant")
            or self._day(period, "start")
        )
        facts = (self._fact(content), *(self._fact(one) for one in self._list(content, "component")))
        void = "" if status in _STATES else f"observations of status {status[:_LONGEST]}"
        return Facts(self._patient("subject"), day, facts, void)

    def _fact(self, content: Json) -> Fact:
        codes = frozenset(self._concept(self._member(content, "code", dict)))
        quantity = self._member(content, "valueQuantity", dict)
        if quantity is None:
            return Fact(codes, self._number(content, "valueInteger"), "[no unit]")
        value = self._number(quantity, "value")
        mark = self._member(quantity, "comparator", str)
        if mark not in _MARKS:
            value, mark = None, None  # such as `ad`, which bounds a sum and no measurement
        return Fact(codes, value, self._unit(quantity), _MARKS[mark])

    def _number(self, content: Json, name: str) -> float | None:
        number = self._member(content, name, (int, float))
        try:
            value = None if number is None else float(number)
        except OverflowError:
            value = inf
        if value is not None and not isfinite(value):
            raise self._wrong(f"has a number in {name} that no double can hold")
        return value

    def _unit(self, quantity: Json) -> str:
        """Return the UCUM code of a quantity; another unit is told in brackets."""
        code: str | None = self._member(quantity, "code", str)
        if code and self._member(quantity, "system", str) == _UCUM:
            return code
        told = self._member(quantity, "unit", str) or code
        return f"[{told[:_LONGEST]}]" if told else "[no unit]"

    def _patient(self, name: str) -> str | None:
        reference = self._member(self._member(self._content, name, dict) or {}, "reference", str) or ""
        if found := _REFERENCE.fullmatch(reference):
            return found[1]
        return reference.removeprefix("urn:uuid:") if reference.startswith("urn:uuid:") else None

    def _concept(self, concept: Json | None) -> Iterator[str]:
        """Yield the codes of a concept, as `system|code`."""
        for coding in self._list(concept or {}, "coding"):
            system, code = self._member(coding, "system", str), self._member(coding, "code", str)
            if system and code:
                yield f"{system}|{code}"

    def _day(self, content: Json, name: str) -> Day | None:
        text = self._member(content, name, str)
        if text is None:
            return None
        found = _DATE.fullmatch(text)
        if found is None:
            raise self._wrong(f"has no FHIR date in {name}")
        year, month, day = (None if one is None else int(one) for one in found.groups())
        try:
            known = date(year or 0, 7 if month is None else month, (1 if month is None else 15) if day is None else day)
        except ValueError:
            raise self._wrong(f"has a date in {name} that no calendar has") from None
        return Day(day_number(known), day is None)

    def _text(self, content: Json, name: str) -> str:
        if text := self._member(content, name, str):
            return str(text)
        raise self._wrong(f"has no {name}")

    def _list(self, content: Json, name: str) -> list[Json]:
        found: list[Any] = self._member(content, name, list) or []
        if not all(isinstance(one, dict) for one in found):
            raise self._wrong(f"has something other than objects in {name}")
        return found

    def _member(self, content: Json, name: str, kind: type | tuple[type, ...]) -> Any:
        """Return a member, None if it is absent."""
        found = content.get(name)
        if found is None:
            return None
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            raise self._wrong(f"has another type in {name} than FHIR allows")
        return found

    def _wrong(self, what: str) -> SourceError:
        return SourceError(f"{self._place} {what}")


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\d{1,18}", text) else None


def _day_of(number: int) -> date:
    return date.fromordinal(number + date(1970, 1, 1).toordinal())
