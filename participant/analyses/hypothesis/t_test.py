"""t-tests: of one mean, of two means with equal or unequal variances, and of paired differences.

With n, m and v the number, mean and variance of the rows (of each group), and d the difference under the null:

    one-sample   t = (m - d) / sqrt(v / n)                        df = n - 1
    paired       the same for x - y
    two-sample   t = (m1 - m2 - d) / sqrt(v (1/n1 + 1/n2))        df = n1 + n2 - 2, v the pooled variance
    welch        t = (m1 - m2 - d) / sqrt(v1/n1 + v2/n2)          df = (v1/n1 + v2/n2)^2 / sum of (vi/ni)^2 / (ni - 1)

The 95 % interval is for the mean, or difference of means; Cohen's d is the estimate minus `null`, divided by the
standard deviation that the test uses (for Welch, the root of the mean variance). These are the pooled tests: number,
mean and variance across all sites are exact up to rounding (`group_moments`).

One round (two more if ranges must be found); nothing iterates. Disclosure: that of `moments`, `class-moments` or
`gram`; a site hides a group of fewer than `minimum_persons` rows, and usually the other one as well.

    analysis = "t-test"
    dataset = "lung"
    kind = "welch"
    variable = {column = "age", low = 18, high = 100}
    by = {column = "sex", levels = [1, 2]}
    row_limit = 1000

Sources: Student 1908, Biometrika 6:1; Welch 1947, Biometrika 34:28; Cohen 1988, "Statistical Power Analysis", chapter
2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import FiniteFloat, model_validator

from participant.analyses.base.declared import levels_of, refusal
from participant.analyses.base.errors import CollinearityError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.sums.group_moments import GroupMoments, class_moments_of, difference_of, moments_of
from participant.statistics.models.design import Category
from participant.statistics.models.special import stdtr, stdtrit
from participant.statistics.models.variables import Variable

Alternative = Literal["two-sided", "less", "greater"]

_NEEDS = {"one-sample": None, "paired": "paired_with", "two-sample": "by", "welch": "by"}


class TTestSpec(TableSpec):
    """A test of one or two means.

    Attributes:
        kind: kind of the test.
        variable: variable whose mean is tested.
        by: for two-sample and Welch: category with two levels; the difference is the first minus the second.
        paired_with: for paired: variable to subtract, row by row.
        null: mean, or difference of means, under the null hypothesis.
        alternative: alternative hypothesis.
    """

    analysis: Literal["t-test"] = "t-test"
    kind: Literal["one-sample", "two-sample", "welch", "paired"]
    variable: Variable
    by: Category | None = None
    paired_with: Variable | None = None
    null: FiniteFloat = 0.0
    alternative: Alternative = "two-sided"

    @model_validator(mode="after")
    def _check(self) -> Self:
        needed = _NEEDS[self.kind]
        for name in ("by", "paired_with"):
            if (getattr(self, name) is not None) != (name == needed):
                raise ValueError(f"a {self.kind} t-test {'needs' if name == needed else 'has no'} {name}")
        if self.by and len(self.by.levels) != 2:
            raise ValueError("a t-test compares two levels; use analysis of variance for more")
        if self.paired_with and self.paired_with.column == self.variable.column:
            raise ValueError("a variable cannot be paired with itself")
        return self

    async def analyse(self, secure_sum: SecureSum) -> "TTestResult":
        """Run the analysis; raises the same errors as `t_test`."""
        return await t_test(self, secure_sum)


class GroupSummary(NamedTuple):
    """Summary of one group: the rows with a level, or the values of a column or of a difference."""

    name: str
    rows: int
    mean: float
    sd: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TTestResult(AnalysisResult):
    """The test.

    Attributes:
        kind, alternative, null: as in the specification.
        groups: one group, or the two compared.
        estimate: mean, or difference of means.
        se, statistic, df, p: standard error, t, degrees of freedom, p-value.
        lower, upper: 95 % confidence interval of the estimate; unbounded on one side for a one-sided test.
        cohens_d: effect size.
        rows: number of rows in the test.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "t-test"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "rows": "d", "mean": ".6g", "sd": ".5g"}

    kind: str
    alternative: str
    null: float
    groups: tuple[GroupSummary, ...]
    estimate: float
    se: float
    statistic: float
    df: float
    p: float
    lower: float
    upper: float
    cohens_d: float
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each group, as plain numbers."""
        return [group._asdict() for group in self.groups]

    @property
    def title(self) -> str:
        return f"t-test, {self.kind}"

    def facts(self) -> dict[str, Any]:
        what = "Mean" if self.kind == "one-sample" else "Difference of means"
        return {
            "Rows": self.rows,
            what: self.estimate,
            "Standard error": self.se,
            "95 % interval": f"{self.lower:.6g} to {self.upper:.6g}",
            "Cohen's d": self.cohens_d,
            "Hypothesis": self.null,
            "Alternative": self.alternative,
            "t": self.statistic,
            "Degrees of freedom": self.df,
            "p": f"{self.p:.3g}",
        }


async def t_test(spec: TTestSpec, secure_sum: SecureSum) -> TTestResult:
    """Run the test that `spec` describes.

    Raises:
        NoRowsError: there are fewer than two rows (Welch: in some group), or for two-sample fewer than three, or none
            in a group.
        CollinearityError: the variable is constant.
        PrecisionError: the declared ranges make the sums too coarse.
    """
    if spec.by:
        found = await class_moments_of(spec, secure_sum, (spec.by,), spec.variable)
        return _result(spec, found, levels_of(spec.by), _of_two(spec, found))
    if spec.paired_with:
        found = await difference_of(spec, secure_sum, spec.variable, spec.paired_with)
        names: tuple[str, ...] = (f"{spec.variable.column} - {spec.paired_with.column}",)
    else:
        found = await moments_of(spec, secure_sum, (spec.variable,))
        names = (spec.variable.column,)
    return _result(spec, found, names, _of_one(spec, found))


class _Estimate(NamedTuple):
    value: float
    se: float
    df: float
    sd: float


def _of_one(spec: TTestSpec, found: GroupMoments) -> _Estimate:
    n = float(found.rows[0])
    if n < 2:
        raise refusal("a t-test needs at least two rows; there is one across all sites", found.warnings)
    if not found.squares[0]:
        raise _constant(spec)
    sd = float(found.sd[0])
    return _Estimate(float(found.means[0]), sd / sqrt(n), n - 1, sd)


def _of_two(spec: TTestSpec, found: GroupMoments) -> _Estimate:
    n, squares = found.rows, found.squares
    least = 2 if spec.kind == "welch" else 1
    if n.min() < least or n.sum() < 3:
        few = f"{n[0]:.0f} and {n[1]:.0f} rows across all sites"
        of = spec.by.column if spec.by else spec.variable.column
        raise refusal(f"{few} in the two groups of {of} are too few to compare", found.warnings)
    if not squares.any():
        raise _constant(spec)
    difference = float(found.means[0] - found.means[1])
    if spec.kind == "two-sample":
        df = float(n.sum() - 2)
        sd = sqrt(squares.sum() / df)
        return _Estimate(difference, sd * sqrt((1 / n).sum()), df, sd)
    variance = squares / (n - 1)
    parts = variance / n
    df = float(parts.sum() ** 2 / (parts**2 / (n - 1)).sum())
    return _Estimate(difference, sqrt(parts.sum()), df, sqrt(variance.mean()))


def _constant(spec: TTestSpec) -> CollinearityError:
    beside = " less " + spec.paired_with.column if spec.paired_with else ""
    return CollinearityError(
        (spec.variable.column + beside,),
        "constant within the groups, or varies too little for its declared range; there is no test",
    )


def _result(spec: TTestSpec, found: GroupMoments, names: tuple[str, ...], estimate: _Estimate) -> TTestResult:
    value, se, df, sd = estimate
    t = (value - spec.null) / se
    tails = {"less": stdtr(df, t), "greater": stdtr(df, -t), "two-sided": 2 * stdtr(df, -abs(t))}
    margin = se * float(stdtrit(df, 0.975 if spec.alternative == "two-sided" else 0.95))
    return TTestResult(
        kind=spec.kind,
        alternative=spec.alternative,
        null=spec.null,
        groups=tuple(
            GroupSummary(name, round(float(n)), float(mean), float(deviation) if n > 1 else None)
            for name, n, mean, deviation in zip(names, found.rows, found.means, found.sd, strict=True)
        ),
        estimate=value,
        se=se,
        statistic=t,
        df=df,
        p=float(tails[spec.alternative]),
        lower=-inf if spec.alternative == "less" else value - margin,
        upper=inf if spec.alternative == "greater" else value + margin,
        cohens_d=(value - spec.null) / sd,
        rows=round(float(np.sum(found.rows))),
        sites=found.sites,
        warnings=(*found.warnings, *_warnings(found)),
    )


def _warnings(found: GroupMoments) -> list[str]:
    few = found.rows.min()
    return [f"{few:.0f} rows in a group: the test relies on normally distributed values"] if few < 15 else []
