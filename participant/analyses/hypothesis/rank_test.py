"""Rank tests of independent groups: Mann and Whitney's (Wilcoxon's rank sum) for two, Kruskal and Wallis's for any.

Values are ranked on an agreed grid, from `low` in steps of `width`: values in one step are tied. For values on the
grid, such as ages in whole years, these are the tests of the pooled rows. With N rows in total, n_g rows and the sum of
ranks R_g in group g, and T from the ties (`ranks`):

    H  = (12 / (N (N + 1)) sum of R_g^2 / n_g - 3 (N + 1)) / (1 - T / (N^3 - N))    chi-square, df = groups - 1
    U  = R_1 - n_1 (n_1 + 1) / 2                                                    of the first of two groups
    z  = (U - n_1 n_2 / 2 -+ 1/2) / sqrt(n_1 n_2 / 12 (N + 1 - T / (N (N - 1))))    with continuity correction
    superiority = U / (n_1 n_2)       probability that a row of the first group has the larger value, ties by halves

The counts are whole numbers and exact. A worked example: values 1, 2, 3 in the first group and 2, 4 in the second have
ranks 1, 2.5, 4 and 2.5, 5; R_1 = 7.5, U = 1.5 and the superiority is 1/4.

One round. Disclosure: that of `histogram` by group: a site with a step of fewer than `minimum_persons` rows leaves out
its whole table; the ranks then cover the other sites, and a warning says so. Wider steps keep it.

    analysis = "rank-test"
    dataset = "lung"
    variable = {column = "age", low = 18, high = 100}
    width = 1
    by = {column = "ph.ecog", levels = [0, 1, 2]}
    minimum_persons = 1
    row_limit = 1000

Sources: Mann, Whitney 1947, Ann Math Stat 18:50; Kruskal, Wallis 1952, J Am Stat Assoc 47:583.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from participant.analyses.base.declared import levels_of, occurring, refusal, warn_of_other_codes, warn_of_outside
from participant.analyses.base.errors import CollinearityError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.sums.ranks import Ranks, steps_between
from participant.statistics.evaluation.registry import HISTOGRAM
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Category
from participant.statistics.models.special import chdtrc, ndtr
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.histogram import HistogramParams, Measured


class RankTestSpec(TableSpec):
    """A comparison of groups by ranks.

    Attributes:
        variable: variable with its declared range.
        width: step of the grid on which values are ranked, in units of the variable.
        by: category whose levels are compared.
        alternative: for two groups, whether the first one tends to smaller or larger values, or either.
    """

    analysis: Literal["rank-test"] = "rank-test"
    single_sum: ClassVar[bool] = True
    variable: Variable
    width: FiniteFloat = Field(gt=0)
    by: Category
    alternative: Literal["two-sided", "less", "greater"] = "two-sided"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.alternative != "two-sided" and len(self.by.levels) != 2:
            raise ValueError(f"alternative = {self.alternative!r} needs two groups; {self.by.column} has more levels")
        return self

    @property
    def cells(self) -> int:
        """Number of steps of the grid; raises SpecError if there are too many."""
        return steps_between(self.variable.low, self.variable.high, self.width)

    async def analyse(self, secure_sum: SecureSum) -> "RankTestResult":
        """Run the analysis; raises the same errors as `compare_ranks`."""
        return await compare_ranks(self, secure_sum)


class RankedGroup(NamedTuple):
    """A group: its number of rows, mean rank, and the median of its values on the grid."""

    name: str
    rows: int
    mean_rank: float
    median: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RankTestResult(AnalysisResult):
    """The tests.

    Attributes:
        groups: groups that have rows.
        h_statistic, df, p: Kruskal and Wallis's statistic, degrees of freedom, p-value.
        u_statistic, z, u_p: Mann and Whitney's statistic of the first group, its z and p-value; None with more than two
            groups.
        superiority: share of pairs in which the row of the first group has the larger value; None likewise.
        alternative: alternative hypothesis of Mann and Whitney's test.
        rows: number of rows ranked.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "rank-test"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "rows": "d", "mean_rank": ".2f", "median": "g"}

    groups: tuple[RankedGroup, ...]
    h_statistic: float
    df: int
    p: float
    u_statistic: float | None
    z: float | None
    u_p: float | None
    superiority: float | None
    alternative: str
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each group."""
        return [group._asdict() for group in self.groups]

    @property
    def title(self) -> str:
        return "Kruskal-Wallis test" if self.u_statistic is None else "Mann-Whitney and Kruskal-Wallis tests"

    def facts(self) -> dict[str, Any]:
        found = {"Rows": self.rows, "H": self.h_statistic, "Degrees of freedom": self.df, "P > H": f"{self.p:.3g}"}
        if self.u_p is None:
            return found
        return found | {
            "U": self.u_statistic,
            "z": self.z,
            "P of U": f"{self.u_p:.3g} ({self.alternative})",
            "Superiority": self.superiority,
        }


async def compare_ranks(spec: RankTestSpec, secure_sum: SecureSum) -> RankTestResult:
    """Run the tests that `spec` describes.

    Raises:
        SpecError: the grid has too many steps.
        NoRowsError: fewer than two groups have rows.
        CollinearityError: all values are tied.
    """
    low = spec.variable.low
    params = HistogramParams(
        quantity=Measured(**spec.variable.model_dump()),
        by=(spec.by,),
        origin=low,
        width=spec.width,
        edges=tuple(range(spec.cells)),
        sums=False,
        row_limit=spec.row_limit,
    )
    answer = await secure_sum(spec.ask(HISTOGRAM, params, secure_sum.value_bits))
    counts = answer.values["counts"][:-1]
    warnings = [
        *spec.warn_of_withheld(answer.values),
        *warn_of_other_codes((spec.by,), answer.values["counts"]),
        *warn_of_outside((spec.variable.column,), (float(answer.values["outside"]),)),
    ]
    if not counts.any():
        raise refusal("across all sites, no row meets the filter and has both values", warnings)
    there, absent = occurring(spec.by, counts.sum(axis=1), warnings)
    counts = counts[there]
    ranks, rows = Ranks.of(counts.sum(axis=0)), counts.sum(axis=1)
    if np.count_nonzero(counts.any(axis=0)) < 2:
        raise CollinearityError((spec.variable.column,), "all rows are in one step of the grid, so there are no ranks")
    sums = counts @ ranks.midranks
    h = _h(sums, rows, ranks)
    u, z, u_p = _mann_whitney(spec, sums, rows, ranks) if len(rows) == 2 else (None, None, None)
    return RankTestResult(
        groups=tuple(
            RankedGroup(levels_of(spec.by)[place], round(float(n)), float(total / n), _median(spec, inside))
            for place, n, total, inside in zip(there, rows, sums, counts, strict=True)
        ),
        h_statistic=h,
        df=len(rows) - 1,
        p=float(chdtrc(len(rows) - 1, h)),
        u_statistic=u,
        z=z,
        u_p=u_p,
        superiority=None if u is None else u / float(rows[0] * rows[1]),
        alternative=spec.alternative,
        rows=round(ranks.rows),
        sites=answer.sites,
        warnings=(*warnings, *absent),
    )


def _h(sums: Array, rows: Array, ranks: Ranks) -> float:
    n = ranks.rows
    # About the mean rank, which loses no digits.
    between = float((rows * (sums / rows - (n + 1) / 2) ** 2).sum())
    return 12 / (n * (n + 1)) * between / (1 - ranks.ties / (n**3 - n))


def _mann_whitney(spec: RankTestSpec, sums: Array, rows: Array, ranks: Ranks) -> tuple[float, float, float]:
    n, (first, second) = ranks.rows, (float(one) for one in rows)
    u = float(sums[0]) - first * (first + 1) / 2
    deviation = sqrt(first * second / 12 * (n + 1 - ranks.ties / (n * (n - 1))))
    off = u - first * second / 2
    if spec.alternative == "two-sided":
        z = np.sign(off) * max(abs(off) - 0.5, 0.0) / deviation
        return u, float(z), float(2 * ndtr(-abs(z)))
    if spec.alternative == "less":
        z = (off + 0.5) / deviation
        return u, z, float(ndtr(z))
    z = (off - 0.5) / deviation
    return u, z, float(ndtr(-z))


def _median(spec: RankTestSpec, counts: Array) -> float:
    step = int(np.flatnonzero(2 * counts.cumsum() >= counts.sum())[0])
    return min(spec.variable.low + spec.width * step, spec.variable.high)
