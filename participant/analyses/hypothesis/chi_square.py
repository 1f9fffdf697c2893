"""Chi-square tests of independence of two categories.

With n_ij rows in row i and column j of the table, e_ij = n_i. n_.j / n, and df = (R - 1) (C - 1):

    Pearson    X2 = sum of (n_ij - e_ij)^2 / e_ij              with `yates`, for 2 by 2: |n_ij - e_ij| - 1/2
    G          G  = 2 sum of n_ij log(n_ij / e_ij)
    Cramer     V  = sqrt(X2 / (n min(R - 1, C - 1)))           with X2 before Yates' correction
    residual   (n_ij - e_ij) / sqrt(e_ij (1 - n_i. / n) (1 - n_.j / n))

For 2 by 2, with cells a, b, c, d by rows: the odds ratio ad / bc, and the ratio of the risks of the first column,
a/(a + b) over c/(c + d), with Woolf's and Katz's intervals; they exist unless they would divide by an empty cell. The
counts are whole numbers and exact, so these are the pooled tests.

One round. Disclosure: that of `contingency`: a site with a cell of fewer than `minimum_persons` rows leaves out
its whole table; the test then covers the other sites, and a warning says so.

    analysis = "chi-square"
    dataset = "lung"
    row = {column = "sex", levels = [1, 2]}
    column = {column = "ph.ecog", levels = [0, 1, 2, 3]}
    minimum_persons = 1
    row_limit = 1000

Sources: Agresti 2013, "Categorical Data Analysis", sections 3.1 to 3.3; Cochran 1954, Biometrics 10:417, for small
counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.sums.crosstab import cell_names, crosstab
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Category
from participant.statistics.models.special import chdtrc, ndtri, xlogy


class ChiSquareSpec(TableSpec):
    """The categories `row` and `column`; `yates` applies the continuity correction to a 2 by 2 table."""

    analysis: Literal["chi-square"] = "chi-square"
    single_sum: ClassVar[bool] = True
    row: Category
    column: Category
    yates: bool = False

    async def analyse(self, secure_sum: SecureSum) -> "ChiSquareResult":
        """Run the analysis; raises the same errors as `chi_square`."""
        return await chi_square(self, secure_sum)


class Ratio(NamedTuple):
    """A ratio with its 95 % interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChiSquareResult(AnalysisResult):
    """The test. Arrays are (R, C), for the levels that occur.

    Attributes:
        row_levels, column_levels: names of the levels.
        counts, expected, residuals: numbers of rows, numbers expected under independence, adjusted residuals.
        statistic, df, p: Pearson's chi-square, degrees of freedom, p-value.
        g, g_p: the likelihood-ratio statistic and its p-value.
        cramers_v: strength of the association, 0 to 1.
        odds_ratio, risk_ratio: ratios of a 2 by 2 table; None for other tables, and if they would divide by zero.
        rows: number of rows in the table.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "chi-square"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "rows": ".0f", "expected": ".2f", "residual": ".2f"}

    row_levels: tuple[str, ...]
    column_levels: tuple[str, ...]
    counts: Array
    expected: Array
    residuals: Array
    statistic: float
    df: int
    p: float
    g: float
    g_p: float
    cramers_v: float
    odds_ratio: Ratio | None
    risk_ratio: Ratio | None
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each cell, as plain numbers."""
        columns = {"rows": self.counts, "expected": self.expected, "residual": self.residuals}
        return [
            {"name": name} | {key: float(column.flat[i]) for key, column in columns.items()}
            for i, name in enumerate(cell_names(self.row_levels, self.column_levels))
        ]

    @property
    def title(self) -> str:
        return "Chi-square test of independence"

    def facts(self) -> dict[str, Any]:
        ratios = {"Odds ratio": self.odds_ratio, "Risk ratio": self.risk_ratio}
        return {
            "Rows": self.rows,
            "Chi-square": self.statistic,
            "Degrees of freedom": self.df,
            "p": f"{self.p:.3g}",
            "G": self.g,
            "p of G": f"{self.g_p:.3g}",
            "Cramer's V": self.cramers_v,
        } | {
            name: f"{ratio.value:.5g} ({ratio.lower:.4g} to {ratio.upper:.4g})"
            for name, ratio in ratios.items()
            if ratio
        }


async def chi_square(spec: ChiSquareSpec, secure_sum: SecureSum) -> ChiSquareResult:
    """Run the test that `spec` describes.

    Raises:
        NoRowsError: there are no rows, or one of the categories has a single level.
    """
    table = await crosstab(spec, secure_sum, spec.row, spec.column)
    counts, n = table.counts, float(table.counts.sum())
    of_rows, of_columns = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    expected = of_rows * of_columns / n
    df = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    off = np.abs(counts - expected)
    plain = float((off**2 / expected).sum())
    corrected = spec.yates and df == 1
    statistic = float((np.maximum(off - 0.5, 0) ** 2 / expected).sum()) if corrected else plain
    g = 2 * float(xlogy(counts, counts / expected).sum())
    return ChiSquareResult(
        row_levels=table.rows,
        column_levels=table.columns,
        counts=counts,
        expected=expected,
        residuals=(counts - expected) / np.sqrt(expected * (1 - of_rows / n) * (1 - of_columns / n)),
        statistic=statistic,
        df=df,
        p=float(chdtrc(df, statistic)),
        g=g,
        g_p=float(chdtrc(df, g)),
        cramers_v=sqrt(plain / (n * (min(counts.shape) - 1))),
        odds_ratio=_odds_ratio(counts),
        risk_ratio=_risk_ratio(counts),
        rows=round(n),
        sites=table.sites,
        warnings=(*table.warnings, *_warnings(expected)),
    )


def _odds_ratio(counts: Array) -> Ratio | None:
    if counts.shape != (2, 2) or not counts.all():
        return None
    (a, b), (c, d) = counts
    return _ratio(float(a * d / (b * c)), sqrt((1 / counts).sum()))


def _risk_ratio(counts: Array) -> Ratio | None:
    if counts.shape != (2, 2) or not counts[:, 0].all():
        return None
    (a, b), (c, d) = counts
    return _ratio(float(a / (a + b) * (c + d) / c), sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)))


def _ratio(value: float, se: float) -> Ratio:
    margin = float(ndtri(0.975)) * se
    return Ratio(value, exp(log(value) - margin), exp(log(value) + margin))


def _warnings(expected: Array) -> list[str]:
    small, least = int((expected < 5).sum()), expected.min()
    if small <= 0.2 * expected.size and least >= 1:
        return []
    advice = "use Fisher's exact test" if expected.shape == (2, 2) else "merge levels"
    below = f"{small} of {expected.size} expected counts are below 5, the smallest is {least:.2g}"
    return [f"{below}: the p-value is approximate; {advice}"]
