"""The descriptive table of a cohort: rows, missing values, means, spreads and quantiles; rows of each level.

For a number, over the rows that have it: numbers of rows with and without it, mean, standard deviation (with n - 1),
standard error, and, if a `width` is given, quantiles (`quantiles` explains which, and how they are found; they are
exact for values on a grid of that width, and off by less than it for others). For a category: rows of each level and
their share among the rows with one of the levels. Missing values are handled separately for each variable: a row that
lacks one still counts for the others.

Rounds: one for counts; for each number one for moments and, with a width, about two for histograms (about ten with a
floor); for each category one. Disclosure: that of `counts`, `moments`, `histogram` and `contingency`. A quantile is one
person's value, to within the width.

    analysis = "descriptive"
    dataset = "lung"
    numbers = [{column = "age", low = 18, high = 100, width = 1}, {column = "wt.loss", low = -50, high = 100}]
    categories = [{column = "sex", levels = [1, 2]}, {column = "ph.ecog", levels = [0, 1, 2, 3]}]
    minimum_persons = 1
    row_limit = 1000

Source: Vandenbroucke et al. 2007, PLoS Med 4:e297, item 14 (STROBE), for the contents of such a table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from participant.analyses.base.cohort import over_one_cohort
from participant.analyses.base.declared import levels_of, refusal, warn_of_other_codes
from participant.analyses.base.errors import NoRowsError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.spec import TableSpec
from participant.analyses.sums.group_moments import moments_of
from participant.analyses.sums.quantiles import find_quantiles
from participant.statistics.evaluation.registry import CONTINGENCY, COUNTS
from participant.statistics.language.query import MAX_COLUMNS
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable, distinct
from participant.statistics.vocabulary.contingency import ContingencyParams
from participant.statistics.vocabulary.counts import CountsParams
from participant.statistics.vocabulary.histogram import Measured


class Described(Variable):
    """A number with its declared range; `width` is the grid width for its quantiles, or None for no quantiles."""

    width: FiniteFloat | None = Field(default=None, gt=0)


def _distinct(numbers: tuple[Described, ...]) -> tuple[Described, ...]:
    distinct(numbers)
    return numbers


Share = Annotated[float, Field(gt=0, lt=1)]


class DescriptiveSpec(TableSpec):
    """The `numbers` and `categories` to describe; `quantiles` are ascending shares of the rows."""

    analysis: Literal["descriptive"] = "descriptive"
    beside: ClassVar[frozenset[str]] = frozenset({"histogram"})
    numbers: Annotated[tuple[Described, ...], Field(max_length=MAX_COLUMNS), AfterValidator(_distinct)] = ()
    categories: Annotated[tuple[Category, ...], Field(max_length=MAX_COLUMNS)] = ()
    quantiles: Annotated[tuple[Share, ...], Field(min_length=1, max_length=99)] = (0.25, 0.5, 0.75)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.columns:
            raise ValueError("there is nothing to describe; name numbers or categories")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("a column is listed twice; list each once")
        if sorted(set(self.quantiles)) != list(self.quantiles):
            raise ValueError("the shares of quantiles must ascend")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple([one.column for one in self.numbers] + [one.column for one in self.categories])

    async def analyse(self, secure_sum: SecureSum) -> "DescriptiveResult":
        """Run the analysis; raises the same errors as `describe_cohort`."""
        return await describe_cohort(self, secure_sum)


class Number(NamedTuple):
    """A number's description; None for values with too few rows, and for quantiles hidden by the floor."""

    name: str
    rows: int
    missing: int
    mean: float | None
    sd: float | None
    se: float | None
    quantiles: tuple[float | None, ...]


class Level(NamedTuple):
    """A category's level: its number of rows, and their share among rows with a declared level."""

    name: str
    rows: int
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DescriptiveResult(AnalysisResult):
    """The descriptive table.

    Attributes:
        rows: number of rows that meet the filter.
        complete: number of those rows that have all values.
        shares: shares of the quantiles.
        numbers, levels: descriptions of the numbers and of the categories' levels.
        missing: number of rows without a value, by category.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "descriptive"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "rows": "d",
        "missing": "d",
        "share": ".1%",
        "mean": ".6g",
        "sd": ".5g",
        "quantiles": "",
    }

    rows: int
    complete: int
    shares: tuple[float, ...]
    numbers: tuple[Number, ...]
    levels: tuple[Level, ...]
    missing: Mapping[str, int]
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each number and each level, as plain numbers and text; None if not applicable."""
        heads = [f"q{100 * share:g}" for share in self.shares]
        numbers = [
            {"name": one.name, "rows": one.rows, "missing": one.missing, "share": None}
            | {"mean": one.mean, "sd": one.sd, "se": one.se, "quantiles": _in_words(one.quantiles)}
            | dict(zip(heads, one.quantiles, strict=True))
            for one in self.numbers
        ]
        empty = dict.fromkeys(["missing", "mean", "sd", "se", "quantiles", *heads])
        return [*numbers, *({"name": one.name, "rows": one.rows, "share": one.share} | empty for one in self.levels)]

    @property
    def title(self) -> str:
        return "Description of the cohort"

    def facts(self) -> dict[str, Any]:
        return {"Rows": self.rows, "Complete rows": self.complete} | {
            f"{name} missing": count for name, count in self.missing.items()
        }

    def notes(self) -> list[str]:
        return [f"Quantiles at {', '.join(f'{share:g}' for share in self.shares)}."]


async def describe_cohort(spec: DescriptiveSpec, secure_sum: SecureSum) -> DescriptiveResult:
    """Make the table that `spec` describes; if a site is lost midway, start over with the remaining sites.

    Raises:
        NoRowsError: across all sites, no row meets the filter.
        PrecisionError: a number's declared range makes its sums too coarse.
        SpecError: a number's width makes too fine a grid.
    """
    return await over_one_cohort(partial(_describe, spec), secure_sum)


async def _describe(spec: DescriptiveSpec, secure_sum: SecureSum) -> DescriptiveResult:
    params = CountsParams(columns=spec.columns, row_limit=spec.row_limit)
    table = _Table(spec, secure_sum, await secure_sum(spec.ask(COUNTS, params, secure_sum.value_bits)))
    for number in spec.numbers:
        await table.add_number(number)
    for category in spec.categories:
        await table.add_levels(category)
    return table.result()


class _Table:
    """The table under construction."""

    def __init__(self, spec: DescriptiveSpec, secure_sum: SecureSum, counts: Sum) -> None:
        self._spec, self._secure_sum, self._counts = spec, secure_sum, counts
        self._rows = round(float(counts.values["rows"]))
        if not self._rows:
            raise refusal("across all sites, no row meets the filter", spec.warn_of_withheld(counts.values))
        self._missing = {
            column: self._rows - round(float(count))
            for column, count in zip(spec.columns, counts.values["present"], strict=True)
        }
        self._warnings = spec.warn_of_withheld(counts.values)
        self._numbers: list[Number] = []
        self._levels: list[Level] = []

    async def add_number(self, number: Described) -> None:
        missing = self._missing[number.column]
        variable = Variable(column=number.column, low=number.low, high=number.high)
        try:
            found = await moments_of(self._spec, self._secure_sum, (variable,))
            quantiles = await self._quantiles(number)
        except NoRowsError:
            nothing = tuple(None for _ in self._spec.quantiles)
            self._numbers.append(Number(number.column, 0, missing, None, None, None, nothing))
            self._warnings.append(f"no row has a value of {number.column}, or their sites' floors hide all of them")
            return
        rows, sd = round(float(found.rows[0])), float(found.sd[0]) if found.rows[0] > 1 else None
        se = None if sd is None else sd / sqrt(rows)
        self._numbers.append(Number(number.column, rows, missing, float(found.means[0]), sd, se, quantiles))
        self._warnings.extend(found.warnings)

    async def _quantiles(self, number: Described) -> tuple[float | None, ...]:
        if number.width is None:
            return tuple(None for _ in self._spec.quantiles)
        quantity = Measured(**number.model_dump(exclude={"width"}))
        found = await find_quantiles(self._spec, self._secure_sum, quantity, self._spec.quantiles, number.width)
        self._warnings.extend(found.warnings)
        return tuple(value if known else None for value, known in zip(found.values.tolist(), found.known, strict=True))

    async def add_levels(self, category: Category) -> None:
        params = ContingencyParams(by=(category,), row_limit=self._spec.row_limit)
        answer = await self._secure_sum(self._spec.ask(CONTINGENCY, params, self._secure_sum.value_bits))
        counts = answer.values["counts"]
        known = float(counts[:-1].sum())
        self._levels.extend(
            Level(name, round(float(count)), float(count) / known if known else None)
            for name, count in zip(levels_of(category), counts[:-1], strict=True)
        )
        self._warnings.extend(self._spec.warn_of_withheld(answer.values))
        self._warnings.extend(warn_of_other_codes((category,), counts))

    def result(self) -> DescriptiveResult:
        return DescriptiveResult(
            rows=self._rows,
            complete=round(float(self._counts.values["complete"])),
            shares=self._spec.quantiles,
            numbers=tuple(self._numbers),
            levels=tuple(self._levels),
            missing={one.column: self._missing[one.column] for one in self._spec.categories},
            sites=self._counts.sites,
            warnings=tuple(dict.fromkeys(self._warnings)),
        )


def _in_words(quantiles: tuple[float | None, ...]) -> str | None:
    if quantiles == (None,) * len(quantiles):
        return None
    return ", ".join("?" if value is None else f"{value:g}" for value in quantiles)
