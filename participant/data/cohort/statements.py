"""The SQL of a cohort: three statements over one chain of named steps.

    index_events -> observation -> candidates -> judged -> cohort -> one relation a variable

`judged` says for each person with an index event at which step they are left out first, so the counts of all steps and
the cohort come from the same rows. Everything that the cohort file gives is a bound parameter.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import CTE, Select, and_, case, distinct, func, literal, or_, select, union_all
from sqlalchemy.sql.expression import ColumnElement

from participant.data.cohort.dialect import CalendarDay, Earliest, day_number, in_dialect, years_between
from participant.data.cohort.language import CohortDefinition, CohortOutcome, Covariate, Feature, RecordWindow
from participant.data.cohort.relations import ABOVE, BELOW, Relations

_JOINED = 50  # SQLite joins at most 64 tables
_NEVER = 10_000_000  # a day that nobody lives to see
_ONE_VALUE: Mapping[str, Any] = {"mean": func.avg, "lowest": func.min, "highest": func.max}

Expression = ColumnElement[Any]


class AttritionStep(NamedTuple):
    """A step at which persons may be left out: its words, and the condition of those who are."""

    words: str
    fails: Expression


class _Part(NamedTuple):
    """Columns of the table: the records that they are made of, one row a person who has any, and their expressions."""

    records: CTE | None
    columns: Sequence[Expression]


class Statements:
    """The statements of a cohort.

    Attributes:
        steps: words of the steps, in their order; persons without an index event are left out before the first.
        persons: counts the persons of the database.
        attrition: counts the persons by `step`: number of the step that leaves them out, from 1; 0 for the cohort.
        units: counts the records of each variable of values in the cohort: `variable`, `unit`, `number` (1 if the
            record has a number), `records`; None without such variables.
        measured: names of the variables of values.
        rows: one row a person; see `participant.data.cohort.source`.
    """

    def __init__(self, cohort: CohortDefinition, relations: Relations) -> None:
        self._cohort = cohort
        self._relations = relations
        everybody = relations.persons().cte("persons")
        candidates = self._candidates(everybody)
        steps = list(self._steps(candidates))
        self.steps = tuple(step.words for step in steps)
        judged = select(
            candidates,
            case(*((step.fails, number) for number, step in enumerate(steps, 1)), else_=0).label("step"),
        ).cte("judged")
        self.persons = select(func.count()).select_from(everybody)
        self.attrition = (
            select(judged.c.step, func.count().label("persons")).group_by(judged.c.step).order_by(judged.c.step)
        )
        members = select(judged).where(judged.c.step == 0).cte("cohort").prefix_with("MATERIALIZED")
        measured = {name: self._in_window(members, one.window()) for name, one in self._variables() if one.measures}
        self.measured = tuple(measured)
        self.units = self._units(measured) if measured else None
        self.rows = self._rows(members, measured)

    def _variables(self) -> Iterator[tuple[str, Covariate]]:
        return ((name, one) for name, one in self._cohort.variables.items() if one.of is None)

    def _candidates(self, everybody: CTE) -> CTE:
        """Return the persons with an index event, and all that the steps need to know about them."""
        index = self._cohort.index
        records = self._relations.records(index.event, index.concepts).subquery("records")
        first = select(records.c.person, func.min(records.c.day).label("day")).group_by(records.c.person)
        if index.occurrence == "first-in-dates":
            first = first.where(_between(records.c.day, index.dates))
        events = first.cte("index_events")
        periods = self._relations.periods().subquery("periods")
        observation = (
            select(events.c.person, func.min(periods.c.first).label("first"), func.max(periods.c.last).label("last"))
            .select_from(events)
            .join(
                periods,
                and_(periods.c.person == events.c.person, events.c.day.between(periods.c.first, periods.c.last)),
            )
            .group_by(events.c.person)
        ).cte("observation")
        dead = self._relations.deaths().subquery("dead")
        deaths = (
            select(dead.c.person, func.min(dead.c.day).label("day"), func.count(dead.c.day).label("days"))
            .group_by(dead.c.person)
            .cte("deaths")
        )
        end = Earliest(
            func.coalesce(observation.c.last, events.c.day), func.coalesce(deaths.c.day, _NEVER), *self._limits(events)
        )
        found = (
            select(
                events.c.person,
                events.c.day,
                observation.c.first,
                end.label("last"),
                deaths.c.day.label("death"),
                deaths.c.days.label("dated_deaths"),
                years_between(everybody.c.born, events.c.day).label("age"),
                everybody.c.sex,
            )
            .select_from(events)
            .join(everybody, everybody.c.person == events.c.person)
            .outerjoin(observation, observation.c.person == events.c.person)
            .outerjoin(deaths, deaths.c.person == events.c.person)
        )
        for group, windows in (("require", self._cohort.require), ("exclude", self._cohort.exclude)):
            for name, window in windows.items():
                having = self._having(events, window).cte(f"{group}_{name}")
                found = found.outerjoin(having, having.c.person == events.c.person).add_columns(
                    having.c.person.label(f"{group}_{name}")
                )
        return found.cte("candidates")

    def _limits(self, events: CTE) -> Iterator[Expression]:
        follow_up = self._cohort.follow_up
        if follow_up.days is not None:
            yield events.c.day + follow_up.days
        if follow_up.until is not None:
            yield literal(day_number(follow_up.until))

    def _having(self, persons: CTE, window: RecordWindow) -> Select[Any]:
        """Return the persons who have a record in a window."""
        records = self._relations.records(window.event, window.concepts).subquery("records")
        return select(persons.c.person).distinct().select_from(persons).join(records, _inside(persons, records, window))

    def _steps(self, candidates: CTE) -> Iterator[AttritionStep]:
        """Yield the steps; a person counts at the first that fails."""
        index, columns = self._cohort.index, candidates.c
        if index.dates is not None and index.occurrence == "first":
            first, last = index.dates
            yield AttritionStep(f"first event not from {first} to {last}", ~_between(columns.day, index.dates))
        yield AttritionStep("not under observation on the index day", columns.first.is_(None))
        if index.observed:
            yield AttritionStep(
                f"observed for less than {index.observed:,} days before the index day",
                columns.day - columns.first < index.observed,
            )
        if index.age is not None:
            low, high = index.age
            yield AttritionStep(f"age not from {low} to {high}", or_(columns.age < low, columns.age > high))
            yield AttritionStep("date of birth not known", columns.age.is_(None))
        if self._relations.undated_deaths:
            yield AttritionStep("died on a day that is not known", columns.dated_deaths == 0)
        yield AttritionStep("died before the index day", columns.death < columns.day)
        for name in self._cohort.require:
            yield AttritionStep(f"without what require.{name} asks for", columns[f"require_{name}"].is_(None))
        for name in self._cohort.exclude:
            yield AttritionStep(f"with what exclude.{name} names", columns[f"exclude_{name}"].is_not(None))
        if self._cohort.outcomes:
            yield AttritionStep("not followed for a day", columns["last"] <= columns.day)

    def _in_window(self, members: CTE, window: RecordWindow) -> Select[Any]:
        """Return the cohort's records in a window, with their values."""
        records = self._relations.records(window.event, window.concepts).subquery("records")
        return (
            select(members.c.person, records.c.day, records.c.value, records.c.unit, records.c.mark)
            .select_from(members)
            .join(records, _inside(members, records, window))
        )

    def _units(self, measured: Mapping[str, Select[Any]]) -> Any:
        counts = []
        for name, records in measured.items():
            found = records.subquery(f"records_{name}")
            number = case((found.c.value.is_(None), 0), else_=1).label("number")
            counts.append(
                select(literal(name).label("variable"), found.c.unit, number, func.count().label("records")).group_by(
                    found.c.unit, number
                )
            )
        return union_all(*counts).order_by("variable", "unit", "number")

    def _rows(self, members: CTE, measured: Mapping[str, Select[Any]]) -> Select[Any]:
        rows = select(
            members.c.age.label("index_age"),
            members.c.sex.label("index_sex"),
            CalendarDay(members.c.day).label("index_day"),
        ).select_from(members)
        parts = [
            *(self._outcome(members, name, one) for name, one in self._cohort.outcomes.items()),
            *(self._variable(members, name, one, measured) for name, one in self._variables()),
        ]
        for number, first in enumerate(range(0, len(parts), _JOINED), 1):
            joined = select(members.c.person).select_from(members)
            for part in parts[first : first + _JOINED]:
                if part.records is not None:
                    joined = joined.outerjoin(part.records, part.records.c.person == members.c.person)
                joined = joined.add_columns(*part.columns)
            found = joined.cte(f"columns_{number}").prefix_with("MATERIALIZED")
            rows = rows.join(found, found.c.person == members.c.person).add_columns(
                *(one for one in found.c if one.name != "person")
            )
        return rows.order_by(members.c.person)

    def _variable(self, members: CTE, name: str, variable: Covariate, measured: Mapping[str, Select[Any]]) -> "_Part":
        values = _value(measured[name], name, variable) if name in measured else self._about_records(members, variable)
        records = values.cte(f"variable_{name}")
        return _Part(records, [one.label(f"{name}__{one.name}") for one in records.c if one.name != "person"])

    def _outcome(self, members: CTE, name: str, outcome: CohortOutcome) -> "_Part":
        died = func.coalesce(members.c.death == members.c["last"], False)
        until_end = members.c["last"] - members.c.day
        if outcome.concepts is None:
            return _Part(None, [until_end.label(f"{name}__time"), case((died, 1), else_=0).label(f"{name}__event")])
        assert outcome.event != "death"
        records = self._relations.records(outcome.event, outcome.concepts).subquery("records")
        after = records.c.day > members.c.day
        found = (
            select(
                members.c.person,
                func.min(case((after, records.c.day))).label("day"),
                func.max(case((after, 0), else_=1)).label("before"),
            )
            .select_from(members)
            .join(records, and_(records.c.person == members.c.person, records.c.day <= members.c["last"]))
            .group_by(members.c.person)
            .cte(f"outcome_{name}")
        )
        at_death = {"censors": 0, "competes": 2, "counts": 1}[outcome.death]
        return _Part(
            found,
            [
                func.coalesce(found.c.day - members.c.day, until_end).label(f"{name}__time"),
                case((found.c.day.is_not(None), 1), (died, at_death), else_=0).label(f"{name}__event"),
                func.coalesce(found.c.before, 0).label(f"{name}__before"),
            ],
        )

    def _about_records(self, members: CTE, variable: Covariate) -> Select[Any]:
        window = variable.window()
        records = self._relations.records(window.event, window.concepts).subquery("records")
        what: Expression
        match variable.statistic:
            case Feature.DAYS:
                what = func.count(distinct(records.c.day))
            case Feature.DAYS_SINCE:
                what = func.min(members.c.day - records.c.day)
            case _:
                what = func.count()
        return (
            select(members.c.person, what.label("value"))
            .select_from(members)
            .join(records, _inside(members, records, window))
            .group_by(members.c.person)
        )


def _value(records: Select[Any], name: str, variable: Covariate) -> Select[Any]:
    """Return one value a person, and what is to be known about the records that it is made of.

    Columns: `value`; `odd`, a unit that has no conversion; `below` and `above`, numbers of values known only to be
    below or above a limit.
    """
    found = records.where(records.selected_columns.value.is_not(None)).cte(f"records_{name}")
    known = {variable.unit: (1.0, 0.0)} | {unit: (one.factor, one.offset) for unit, one in variable.units.items()}
    converted = case(
        *(
            (found.c.unit == unit, found.c.value if (factor, offset) == (1.0, 0.0) else found.c.value * factor + offset)
            for unit, (factor, offset) in known.items()
        )
    )
    used: CTE = found
    joined = select(found.c.person).select_from(found)
    if variable.statistic in {Feature.FIRST, Feature.LAST}:
        one_day = func.min if variable.statistic is Feature.FIRST else func.max
        used = select(found.c.person, one_day(found.c.day).label("day")).group_by(found.c.person).cte(f"day_{name}")
        joined = joined.join(used, and_(used.c.person == found.c.person, used.c.day == found.c.day))
        aggregate = _ONE_VALUE[variable.same_day]
    else:
        assert variable.statistic is not None
        aggregate = _ONE_VALUE[variable.statistic]
    return joined.add_columns(
        aggregate(converted).label("value"),
        func.min(case((found.c.unit.not_in([*known]), found.c.unit))).label("odd"),
        func.sum(case((found.c.mark == BELOW, 1), else_=0)).label("below"),
        func.sum(case((found.c.mark == ABOVE, 1), else_=0)).label("above"),
    ).group_by(found.c.person)


def _inside(persons: CTE, records: Any, window: RecordWindow) -> Expression:
    """Return the condition that a record is a person's, and in a window around their index day."""
    after = [] if window.first is None else [records.c.day >= persons.c.day + window.first]
    return and_(records.c.person == persons.c.person, *after, records.c.day <= persons.c.day + window.last)


def _between(day: Expression, dates: Sequence[Any] | None) -> Expression:
    assert dates is not None
    first, last = dates
    return day.between(day_number(first), day_number(last))


def shown(statements: Statements, dialect: str) -> str:
    """Return the statements as text in a dialect, in the order in which they run, with their parameters filled in."""
    legend = [f"-- step {number}: {words}" for number, words in enumerate(("in the cohort", *statements.steps))]
    found = [
        ("-- How many persons there are", statements.persons),
        ("\n".join(["-- How many persons with an index event each step leaves out", *legend]), statements.attrition),
        ("-- Units of the values in the windows", statements.units),
        ("-- The table, one row a person", statements.rows),
    ]
    return "\n\n".join(f"{words}\n{in_dialect(one, dialect)};" for words, one in found if one is not None)
