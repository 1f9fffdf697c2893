"""Expressions that databases spell differently. Days are numbers from 1970-01-01 on, so that all else is arithmetic."""

from datetime import date
from typing import Any

from sqlalchemy import ClauseElement, Dialect, Float, Integer
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from participant.data.model.errors import SourceError

# Named parameters, so that a per cent sign is not doubled in what people read.
_DIALECTS: dict[str, Dialect] = {
    "postgresql": postgresql.psycopg.dialect(paramstyle="named"),  # type: ignore[no-untyped-call]
    "sqlite": sqlite.pysqlite.dialect(paramstyle="named"),
}
_FIRST = date(1970, 1, 1)


class DayOf(FunctionElement[int]):
    """The day of a date or timestamp. SQLite keeps dates as text, or as seconds from 1970 on."""

    name = "day_of"
    type = Integer()
    inherit_cache = True


class CalendarDay(FunctionElement[int]):
    """The number YYYYMMDD of a day: differences of such numbers, divided by 10,000, are completed years."""

    name = "calendar_day"
    type = Integer()
    inherit_cache = True


class AsDouble(FunctionElement[float]):
    """A number as a double. SQLite also keeps text in columns of numbers: that is none."""

    name = "number"
    type = Float()
    inherit_cache = True


class Earliest(FunctionElement[int]):
    """The least of several numbers, none of which is null."""

    name = "earliest"
    type = Integer()
    inherit_cache = True


def _inner(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> list[str]:
    return [compiler.process(one, **options) for one in element.clauses]


@compiles(DayOf, "postgresql")
def _day_of_postgresql(element: DayOf, compiler: SQLCompiler, **options: Any) -> str:
    (day,) = _inner(element, compiler, **options)
    return f"(CAST({day} AS DATE) - DATE '1970-01-01')"


@compiles(DayOf, "sqlite")
def _day_of_sqlite(element: DayOf, compiler: SQLCompiler, **options: Any) -> str:
    (day,) = _inner(element, compiler, **options)
    return (
        f"CAST(julianday(CASE typeof({day}) WHEN 'text' THEN date({day}) ELSE date({day}, 'unixepoch') END) "
        "- 2440587.5 AS INTEGER)"
    )


@compiles(CalendarDay, "postgresql")
def _calendar_postgresql(element: CalendarDay, compiler: SQLCompiler, **options: Any) -> str:
    (day,) = _inner(element, compiler, **options)
    return f"CAST(to_char(DATE '1970-01-01' + {day}, 'YYYYMMDD') AS INTEGER)"


@compiles(CalendarDay, "sqlite")
def _calendar_sqlite(element: CalendarDay, compiler: SQLCompiler, **options: Any) -> str:
    (day,) = _inner(element, compiler, **options)
    return f"CAST(strftime('%Y%m%d', {day} * 86400, 'unixepoch') AS INTEGER)"


@compiles(AsDouble, "postgresql")
def _number_postgresql(element: AsDouble, compiler: SQLCompiler, **options: Any) -> str:
    (value,) = _inner(element, compiler, **options)
    return f"CAST({value} AS DOUBLE PRECISION)"


@compiles(AsDouble, "sqlite")
def _number_sqlite(element: AsDouble, compiler: SQLCompiler, **options: Any) -> str:
    (value,) = _inner(element, compiler, **options)
    return f"CASE WHEN typeof({value}) IN ('integer', 'real') THEN CAST({value} AS REAL) END"


@compiles(Earliest, "postgresql")
def _earliest_postgresql(element: Earliest, compiler: SQLCompiler, **options: Any) -> str:
    return f"LEAST({', '.join(_inner(element, compiler, **options))})"


@compiles(Earliest, "sqlite")
def _earliest_sqlite(element: Earliest, compiler: SQLCompiler, **options: Any) -> str:
    found = _inner(element, compiler, **options)
    return f"MIN({', '.join(found)})" if len(found) > 1 else found[0]


def years_between(born: ColumnElement[int], day: ColumnElement[int]) -> ColumnElement[int]:
    """Return the completed years from a birth, as YYYYMMDD, to a day."""
    return (CalendarDay(day) - born) // 10_000


def day_number(day: date) -> int:
    """Return the number of a day."""
    return (day - _FIRST).days


def check_dialect(name: str) -> None:
    """Refuse a dialect in which no statements are made; raises SourceError."""
    if name not in _DIALECTS:
        raise SourceError(f"cohorts are read from databases of PostgreSQL and SQLite; this is {name}")


def in_dialect(statement: ClauseElement, dialect: str) -> str:
    """Return a statement as text, with its parameters filled in, for people to read."""
    return str(statement.compile(dialect=_DIALECTS[dialect], compile_kwargs={"literal_binds": True}))
