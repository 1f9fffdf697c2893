"""What all specifications of an analysis have in common. They are written by people, as the tables of a TOML file."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from participant.analyses.base.errors import CodingError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.language.conditions import Condition
from participant.statistics.language.layout import Array
from participant.statistics.language.query import MAX_PERSONS, MAX_VALUE_BITS, MIN_VALUE_BITS, Name, Strict
from participant.statistics.language.statistic import MAX_ROWS, Params, Statistic
from participant.statistics.models.outcome import Grid, Outcome


class TableSpec(Strict, ABC):
    """Analysis of the rows of one dataset.

    Attributes:
        analysis: its name; every analysis narrows this to its own.
        single_sum: whether it takes one sum and no more, so that it can end with the sites holding the sum.
        dataset: name of the dataset at every site.
        filter: conditions that a row must meet.
        missing: rows with a missing value in a named column are left out.
        minimum_persons: fewer rows than this and a site sends zeros; its policy can ask for such a floor.
        row_limit: the most rows that a site's dataset may have. Bounds are proven from it: as small as is safe.
        value_bits: bits of a quantised real value; None for as many as the run has room for.
    """

    analysis: str
    single_sum: ClassVar[bool] = False
    dataset: Name
    filter: tuple[Condition, ...] = ()
    missing: Literal["complete-cases"] = "complete-cases"
    minimum_persons: int = Field(default=5, ge=1, le=MAX_PERSONS)
    row_limit: int = Field(ge=1, le=MAX_ROWS)
    value_bits: int | None = Field(default=None, ge=MIN_VALUE_BITS, le=MAX_VALUE_BITS)

    @abstractmethod
    async def analyse(self, secure_sum: SecureSum) -> AnalysisResult:
        """Carry the analysis out.

        Raises:
            AnalysisError: the data of all sites together give no answer; says why.
        """

    def ask(
        self, statistic: Statistic[Any], params: Params, value_bits: int, *, complete: tuple[str, ...] = ()
    ) -> BoundQuery:
        """Return the query for a statistic over this specification's rows."""
        query = statistic.query(
            params,
            dataset=self.dataset,
            value_bits=self.value_bits or value_bits,
            filter=self.filter,
            complete=complete,
            minimum_persons=self.minimum_persons,
        )
        return bind(query)

    def narrowed(self, *conditions: Condition) -> Self:
        """Return the same analysis of fewer rows: those that meet these conditions as well."""
        return self.model_copy(update={"filter": (*self.filter, *conditions)})

    def warn_of_withheld(self, sums: Mapping[str, Array], *, of_model: bool = False) -> list[str]:
        """Return warnings where sites had too few rows, in all or in a cell, for their numbers to be in the sum."""
        few = f"1 to {self.minimum_persons - 1} rows"
        if of_model:
            few += ", in all or set apart by a covariate, or fewer than three for each parameter"
        sites = round(float(sums.get("withheld", 0.0)))
        found = [f"{sites} sites have {few}; these rows are not in the sums"] if sites else []
        hiding = round(float(np.max(sums.get("suppressed", 0.0), initial=0.0)))
        if hiding:
            found.append(
                f"{hiding} sites have a cell of {few}, and hid it with others beside it: these rows are not in the "
                "sums. Wider or merged cells keep them"
            )
        return found


class SurvivalSpec(TableSpec):
    """Analysis of times to an event.

    Attributes:
        time, event: columns; event is 1, or 0 for censored.
        grid: grid on which times are counted, in the units of the time column.
        time_unit: what these units are called, for axes and tables.
    """

    time: Name
    event: Name
    grid: Grid
    time_unit: Annotated[str, Field(max_length=32)] = "days"

    @property
    def outcome(self) -> Outcome:
        return Outcome(time=self.time, event=self.event, grid=self.grid)

    def check_coding(self, outside: Array) -> None:
        """Raise CodingError where some site counted odd times or event codes; `outside` is (2,), over all sites."""
        negative, codes = (round(float(count)) for count in outside)
        if negative:
            raise CodingError(f"{negative} rows over all sites have a negative {self.time}")
        if codes:
            raise CodingError(f"{codes} rows over all sites have a value of {self.event} other than 0 and 1")
