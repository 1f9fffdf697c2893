"""A cohort as a table: runs the statements, and turns rows into typed columns and reasons for missing values."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import polars as pl
from sqlalchemy import Connection

from participant.data.cohort.language import CohortDefinition, CohortFile, Covariate, Feature
from participant.data.cohort.relations import FEMALE, MALE, Relations
from participant.data.cohort.statements import Statements
from participant.data.model.description import SourceKind
from participant.data.model.errors import SourceError
from participant.data.model.summary import LeftOut
from participant.data.sources import (
    Batch,
    Origin,
    SourceColumn,
    batch_rows,
    check_columns,
    check_rows,
    positions,
)
from participant.data.sources.database import told

_SEXES = {"female": FEMALE, "male": MALE}
_LARGEST = 1 << 14  # rows of a batch; each is a Python tuple for a moment
_REASONS = 100
_SHOWN = 60


class CohortSource:
    """The rows of a cohort, one a person.

    Args:
        cohort: the cohort.
        file: file that it was read from.
        relations: clinical data.
        connection: connection to the data.
        kind, place: kind of the source, and its place for the record.
        notes: notes on how the data were read.

    Raises:
        SourceError: a statement fails, or the cohort is empty.
    """

    decimal = None

    def __init__(
        self,
        cohort: CohortDefinition,
        file: CohortFile,
        relations: Relations,
        *,
        connection: Connection,
        kind: SourceKind,
        place: str,
        notes: Sequence[str],
    ) -> None:
        self._cohort, self._file, self._kind, self._place = cohort, file, kind, place
        self._opened = ExitStack()
        check_columns(len(cohort.columns))
        statements = Statements(cohort, relations)
        try:
            self._attrition = _attrition(statements, connection)
            self._units = _units(statements, connection)
            self._result = connection.execution_options(stream_results=True).execute(statements.rows)
        except Exception as error:  # noqa: BLE001 - drivers raise what they like, and their words quote the address
            raise told("the cohort cannot be read", error) from None
        self._notes = (*notes, *_looking_ahead(cohort))
        if not self.size:
            steps = "; ".join(f"{one.words}: {one.persons:,}" for one in self._attrition[1:] if one.persons)
            raise SourceError(
                f"nobody is in the cohort of {file.name}. Left out of {self._attrition[0].remaining:,}: {steps}"
            )
        check_rows(self.size)
        self._reasons: dict[str, Counter[str]] = {name: Counter() for name in cohort.columns}
        self._before: Counter[str] = Counter()

    def keep(self, opened: ExitStack) -> None:
        """Take over what is to be closed once the rows have been read."""
        self._opened = opened

    @property
    def header(self) -> tuple[str, ...]:
        return self._cohort.columns

    @property
    def size(self) -> int:
        return self._attrition[-1].remaining

    def batches(self) -> Iterator[Batch]:
        first, names = 1, list(self._result.keys())
        try:
            for rows in self._result.partitions(min(batch_rows(len(names)), _LARGEST)):
                found = dict(zip(names, zip(*rows, strict=True), strict=True))
                lines = pl.int_range(first, first + len(rows), dtype=pl.Int64, eager=True)
                first += len(rows)
                cells = [
                    column.alias(position)
                    for column, position in zip(self._columns(found), positions(len(self.header)), strict=True)
                ]
                yield Batch(lines, pl.DataFrame(cells), (), first - 1)
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            raise told("the database broke off", error) from None
        finally:
            self._opened.close()
        if first - 1 != self.size:
            raise SourceError("the database changed while the cohort was read: import it again")

    def known(self) -> Mapping[int, SourceColumn]:
        found: dict[str, SourceColumn] = {}
        for name, outcome in self._cohort.outcomes.items():
            before = self._before[name]
            note = f"{before:,} persons have such a record on the index day or before; [exclude] leaves them out"
            found[f"{name}_time"] = SourceColumn(outcome.label, "d")
            found[f"{name}_event"] = SourceColumn(outcome.label, notes=(note,) if before else ())
        for name, variable in self._cohort.variables.items():
            found |= self._known(name, variable)
        return {at: found[name] for at, name in enumerate(self.header)}

    def origin(self) -> Origin:
        cohort = f"cohort {self._file.name}, SHA-256 {self._file.digest}"
        return Origin(self._kind, self._place, notes=(cohort, *self._notes), attrition=self._attrition)

    def _known(self, name: str, variable: Covariate) -> Mapping[str, SourceColumn]:
        reasons = dict(self._reasons[name].most_common(_REASONS))
        column = SourceColumn(variable.label, reasons=reasons)
        if variable.of == "sex":
            return {name: column._replace(categories=_SEXES)}
        if variable.of == "age":
            return {name: column._replace(unit="a")}
        if variable.statistic is Feature.DAYS_SINCE:
            return {name: column._replace(unit="d")}
        if not variable.measures:
            return {name: column}
        column = column._replace(unit=str(variable.unit), notes=self._units[name])
        limit = "limit of values known only to be {} it"
        return {
            name: column,
            f"{name}_below": SourceColumn(limit.format("below"), column.unit),
            f"{name}_above": SourceColumn(limit.format("above"), column.unit),
        }

    def _columns(self, found: Mapping[str, Sequence[Any]]) -> Iterator[pl.Series]:
        """Yield the columns of a batch, in the order of the header."""
        for name in self._cohort.outcomes:
            yield pl.Series(found[f"{name}__time"], dtype=pl.Int64)
            yield pl.Series(found[f"{name}__event"], dtype=pl.Int64)
            self._before[name] += sum(found.get(f"{name}__before", ()))
        for name, variable in self._cohort.variables.items():
            match variable.of:
                case "age":
                    yield self._told(name, pl.Series(found["index_age"], dtype=pl.Int64), "date of birth not known")
                case "sex":
                    yield self._told(name, pl.Series(found["index_sex"], dtype=pl.Int64), "neither female nor male")
                case "year":
                    yield pl.Series(found["index_day"], dtype=pl.Int64) // 10_000
                case _ if variable.measures:
                    yield from self._measured(name, variable, found)
                case _:
                    values = pl.Series(found[f"{name}__value"], dtype=pl.Int64)
                    if variable.statistic is Feature.PRESENCE:
                        yield values.is_not_null()
                    elif variable.statistic is Feature.DAYS_SINCE:
                        yield self._told(name, values, "no record in the window")
                    else:
                        yield values.fill_null(0)

    def _measured(self, name: str, variable: Covariate, found: Mapping[str, Sequence[Any]]) -> Iterator[pl.Series]:
        values = pl.Series(found[f"{name}__value"], dtype=pl.Float64)
        odd = pl.Series(found[f"{name}__odd"], dtype=pl.String)
        below, above = (
            pl.Series(found[f"{name}__{end}"], dtype=pl.Int64).fill_null(0) > 0 for end in ("below", "above")
        )
        strange = odd.is_not_null()
        endless = ~values.is_finite().fill_null(value=True) & ~strange
        both = below & above & ~strange & ~endless
        below, above = (one & ~both & ~strange & ~endless for one in (below, above))
        for unit, count in odd.drop_nulls().value_counts().iter_rows():
            self._reasons[name][f"a record in {unit[:_SHOWN]}, for which no conversion is declared"] += count
        self._count(name, "a record whose number is infinite or none", endless)
        self._count(name, "limits on both sides", both)
        self._count(name, "no record in the window", values.is_null() & ~strange)
        gone = strange | endless | both
        if variable.limits == "apart":
            gone |= below | above
            self._count(name, f"below the limit in {name}_below", below)
            self._count(name, f"above the limit in {name}_above", above)
        yield values.set(gone, None)
        yield values.set(~below, None)
        yield values.set(~above, None)

    def _told(self, name: str, values: pl.Series, reason: str) -> pl.Series:
        self._count(name, reason, values.is_null())
        return values

    def _count(self, name: str, reason: str, rows: pl.Series) -> None:
        if count := int(rows.sum()):
            self._reasons[name][reason] += count


def _attrition(statements: Statements, connection: Connection) -> tuple[LeftOut, ...]:
    everybody = int(connection.execute(statements.persons).scalar_one())
    counts = {step: int(persons) for step, persons in connection.execute(statements.attrition)}
    remaining = sum(counts.values())
    found = [
        LeftOut("persons in the database", 0, everybody),
        LeftOut("no index event", everybody - remaining, remaining),
    ]
    for number, words in enumerate(statements.steps, 1):
        remaining -= counts.get(number, 0)
        found.append(LeftOut(words, counts.get(number, 0), remaining))
    return tuple(found)


def _units(statements: Statements, connection: Connection) -> Mapping[str, tuple[str, ...]]:
    """Return notes on the units of each variable's records in the cohort's windows."""
    if statements.units is None:
        return {}
    found: dict[str, list[str]] = {name: [] for name in statements.measured}
    for name, unit, number, records in connection.execute(statements.units):
        found[name].append(f"{str(unit)[:_SHOWN]} ({records:,}{'' if number else ', without a number'})")
    return {name: (f"records by unit: {', '.join(told)}",) if told else () for name, told in found.items()}


def _looking_ahead(cohort: CohortDefinition) -> Iterator[str]:
    for name, variable in cohort.variables.items():
        if variable.days is not None and variable.days[1] > 0:
            yield f"variables.{name} looks beyond the index day: it is not known at the beginning of follow-up"
