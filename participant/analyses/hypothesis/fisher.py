"""Fisher's exact test of a 2 by 2 table.

Given the margins of a table with odds ratio w, the count a in its first cell has a noncentral hypergeometric
distribution. The two-sided p-value is the probability, at w = 1, of all tables no more probable than the observed one;
the one-sided p-values are the probabilities of at most, or at least, a. The odds ratio is the conditional
maximum-likelihood estimate; its interval ends at the w for which a has a tail probability of 2.5 % (Clopper-Pearson);
both as in R. scipy computes them from the pooled counts, which are whole numbers and exact.

One round. Disclosure: that of `contingency`. This test is meant for small cells, which a floor hides: if a site hides
cells, the test covers the remaining rows, and a warning says so.

    analysis = "fisher"
    dataset = "lung"
    row = {column = "sex", levels = [1, 2]}
    column = {column = "status", levels = [0, 1]}
    minimum_persons = 1
    row_limit = 1000

Sources: Fisher 1935, J R Stat Soc 98:39; Agresti 2013, "Categorical Data Analysis", sections 3.5 and 16.6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.sums.crosstab import cell_names, crosstab
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Category


class FisherSpec(TableSpec):
    """Categories `row` and `column` with two levels each; `alternative` hypothesis to an odds ratio of 1."""

    analysis: Literal["fisher"] = "fisher"
    single_sum: ClassVar[bool] = True
    row: Category
    column: Category
    alternative: Literal["two-sided", "less", "greater"] = "two-sided"

    @model_validator(mode="after")
    def _check(self) -> Self:
        for category in (self.row, self.column):
            if len(category.levels) != 2:
                raise ValueError(
                    f"Fisher's test needs a 2 by 2 table, but {category.column} has {len(category.levels)} levels; "
                    "use the chi-square test"
                )
        return self

    async def analyse(self, secure_sum: SecureSum) -> "FisherResult":
        """Run the analysis; raises the same errors as `fisher`."""
        return await fisher(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FisherResult(AnalysisResult):
    """The test.

    Attributes:
        row_levels, column_levels, counts: the table, (2, 2).
        alternative: alternative hypothesis.
        p: exact p-value.
        odds_ratio, lower, upper: conditional estimate with its 95 % interval; 0 or infinity for an empty cell.
        rows: number of rows in the table.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "fisher"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "rows": ".0f"}

    row_levels: tuple[str, ...]
    column_levels: tuple[str, ...]
    counts: Array
    alternative: str
    p: float
    odds_ratio: float
    lower: float
    upper: float
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each cell, as plain numbers."""
        names = cell_names(self.row_levels, self.column_levels)
        return [{"name": name, "rows": float(count)} for name, count in zip(names, self.counts.flat, strict=True)]

    @property
    def title(self) -> str:
        return "Fisher's exact test"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Odds ratio": self.odds_ratio,
            "95 % interval": f"{self.lower:.6g} to {self.upper:.6g}",
            "p": f"{self.p:.4g}",
            "Alternative": self.alternative,
        }


async def fisher(spec: FisherSpec, secure_sum: SecureSum) -> FisherResult:
    """Run the test that `spec` describes.

    Raises:
        NoRowsError: there are no rows, or one of the categories has a single level.
    """
    from scipy.stats import fisher_exact  # noqa: PLC0415 - takes a second to load
    from scipy.stats.contingency import odds_ratio  # noqa: PLC0415

    table = await crosstab(spec, secure_sum, spec.row, spec.column)
    whole = table.counts.astype(int)
    estimate = odds_ratio(whole, kind="conditional")
    interval = estimate.confidence_interval(0.95, alternative=spec.alternative)
    value = float(estimate.statistic)
    warnings = list(table.warnings)
    if not (value > 0 and isfinite(value)):
        warnings.append("a cell is empty across all sites: the estimated odds ratio is 0 or infinite")
    return FisherResult(
        row_levels=table.rows,
        column_levels=table.columns,
        counts=table.counts,
        alternative=spec.alternative,
        p=float(fisher_exact(whole, alternative=spec.alternative).pvalue),
        odds_ratio=value,
        lower=float(interval.low),
        upper=float(interval.high),
        rows=round(float(table.counts.sum())),
        sites=table.sites,
        warnings=tuple(warnings),
    )
