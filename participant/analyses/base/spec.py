"""The common base of specifications of an analysis, which people write as tables of a TOML file."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from participant.analyses.base.errors import CodingError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.statistics.evaluation import suppression
from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.language.conditions import Condition
from participant.statistics.language.layout import Array
from participant.statistics.language.query import MAX_PERSONS, MAX_VALUE_BITS, MIN_VALUE_BITS, Name, Strict
from participant.statistics.language.statistic import MAX_ROWS, Params, Statistic
from participant.statistics.models.outcome import Grid, Outcome

MISSING_SHARE = 0.02


class TableSpec(Strict, ABC):
    """Analysis of the rows of one dataset.

    Attributes:
        analysis: name of the analysis; each subclass permits only its own.
        single_sum: whether one sum suffices, so that the analysis works even if only the sites learn the sum.
        beside: statistics for side results, which the analysis leaves out or bounds by itself where sites hide sums;
            they do not count for whom the result covers.
        dataset: name of the dataset at every site.
        filter: conditions that a row must meet.
        missing: treatment of missing values: rows that lack a named column are left out.
        missing_share: share of the persons that may be missing from a result, at sites that hid their sums, before it
            has no tests, intervals, areas and curves.
        minimum_persons: floor below which a site sends zeros; its policy can require one.
        row_limit: maximum number of rows of a site's dataset. Bounds follow from it, so choose it as small as is safe.
        value_bits: number of bits of a quantised real value; None for as many as fit the run.
    """

    analysis: str
    single_sum: ClassVar[bool] = False
    beside: ClassVar[frozenset[str]] = frozenset()
    dataset: Name
    filter: tuple[Condition, ...] = ()
    missing: Literal["complete-cases"] = "complete-cases"
    minimum_persons: int = Field(default=5, ge=1, le=MAX_PERSONS)
    missing_share: float = Field(default=MISSING_SHARE, ge=0, le=1)
    row_limit: int = Field(ge=1, le=MAX_ROWS)
    value_bits: int | None = Field(default=None, ge=MIN_VALUE_BITS, le=MAX_VALUE_BITS)

    @abstractmethod
    async def analyse(self, secure_sum: SecureSum) -> AnalysisResult:
        """Run the analysis.

        Raises:
            AnalysisError: the sites' pooled data allow no result; the message says why.
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
        """Return the same analysis, restricted to rows that also meet these conditions."""
        return self.model_copy(update={"filter": (*self.filter, *conditions)})

    def warn_of_withheld(self, sums: Mapping[str, Array], *, of_model: bool = False) -> list[str]:
        """Return a warning if sums or cells were hidden, so that persons are missing from these."""
        asked, answered = (round(float(sums.get(lane, 0.0))) for lane in (suppression.ASKED, suppression.ANSWERED))
        if answered == asked:
            return []
        few = f"a group of 1 to {self.minimum_persons - 1} persons"
        if of_model:
            few += ", or fewer than three for each parameter of the model"
        where = f"at sites that left out their whole table, as it has {few}; widen or merge groups to keep them"
        if sums.get(suppression.POOLED):
            where = (
                f"hidden by all sites together: over all of them there is {few}, or one person who makes up most of a "
                "sum; widen or merge groups, or narrow a range, to keep them"
            )
        return [f"{answered} of {asked} persons are in these sums; the others are {where}"]


class SurvivalSpec(TableSpec):
    """Analysis of times to an event.

    Attributes:
        time, event: columns of the time and the event indicator; 1 for an event, 0 for censored.
        grid: grid on which times are counted, in units of the time column.
        time_unit: name of these units, for axes and tables.
    """

    time: Name
    event: Name
    grid: Grid
    time_unit: Annotated[str, Field(max_length=32)] = "days"

    @property
    def outcome(self) -> Outcome:
        return Outcome(time=self.time, event=self.event, grid=self.grid)

    def check_coding(self, outside: Array) -> None:
        """Raise CodingError if some site counted invalid times or event codes; `outside` is (2,), across all sites."""
        negative, codes = (round(float(count)) for count in outside)
        if negative:
            raise CodingError(f"across all sites, {negative} rows have a negative {self.time}; correct it at the sites")
        if codes:
            raise CodingError(f"across all sites, {codes} rows have a value of {self.event} other than 0 and 1")
