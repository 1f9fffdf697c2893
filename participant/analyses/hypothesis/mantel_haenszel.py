"""Mantel and Haenszel's common odds ratio and risk ratio of 2 by 2 tables in strata, and the tests beside them.

With the table a, b, c, d of a stratum by rows and n its rows, and sums over the strata:

    odds ratio = sum of ad / n  /  sum of bc / n                 interval from Robins, Breslow and Greenland's variance
    risk ratio = sum of a (c + d) / n  /  sum of c (a + b) / n   interval from Greenland and Robins's variance
    statistic  = (|sum of a - E| - 1/2)^2 / V                    chi-square, 1 degree of freedom; without the 1/2 unless
                                                                 `correction`; E and V given all margins
    equal odds = Breslow and Day's statistic with Tarone's correction, chi-square, one degree less than strata

The strata are the combinations of the levels of `strata`; those without both levels of a margin add nothing.

One round. Disclosure: that of `contingency`: a site with a cell of fewer than `minimum_persons` rows leaves out
its whole table; the result then covers the other sites, and a warning says so.

    analysis = "mantel-haenszel"
    dataset = "lung"
    row = {column = "sex", levels = [1, 2]}
    column = {column = "status", levels = [1, 0]}
    strata = [{column = "ph.ecog", levels = [0, 1, 2]}]
    minimum_persons = 1
    row_limit = 1000

Sources: Mantel, Haenszel 1959, J Natl Cancer Inst 22:719; Robins, Breslow, Greenland 1986, Biometrics 42:311;
Greenland, Robins 1985, Biometrics 41:55; Tarone 1985, Biometrika 72:91.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from participant.analyses.base.declared import levels_of, refusal, warn_of_other_codes
from participant.analyses.base.errors import NoRowsError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.hypothesis.chi_square import Ratio
from participant.analyses.sums.crosstab import cell_names
from participant.statistics.evaluation.registry import CONTINGENCY
from participant.statistics.language.layout import Array
from participant.statistics.models.cells import MAX_CATEGORIES, Categories, few_cells
from participant.statistics.models.design import Category
from participant.statistics.models.special import chdtrc, ndtri
from participant.statistics.vocabulary.contingency import ContingencyParams


class MantelHaenszelSpec(TableSpec):
    """Two categories in strata.

    Attributes:
        row, column: categories with two levels each; the first column is the event of the risk ratio.
        strata: categories, each combination of which is a stratum.
        correction: whether the test has the continuity correction.
    """

    analysis: Literal["mantel-haenszel"] = "mantel-haenszel"
    single_sum: ClassVar[bool] = True
    row: Category
    column: Category
    strata: Annotated[Categories, Field(min_length=1, max_length=MAX_CATEGORIES - 2)]
    correction: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        for category in (self.row, self.column):
            if len(category.levels) != 2:
                raise ValueError(f"{category.column} has {len(category.levels)} levels, but must have two")
        few_cells((self.row, self.column, *self.strata))
        return self

    async def analyse(self, secure_sum: SecureSum) -> "MantelHaenszelResult":
        """Run the analysis; raises the same errors as `combine_tables`."""
        return await combine_tables(self, secure_sum)


class Stratum(NamedTuple):
    """A stratum: its rows, and its odds ratio, None if that divides by zero."""

    name: str
    rows: int
    odds_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MantelHaenszelResult(AnalysisResult):
    """The common ratios and tests.

    Attributes:
        strata: strata that have rows.
        cells: names of the cells of each table, row by row.
        counts: (S, 2, 2) tables of the strata.
        odds_ratio, risk_ratio: common ratios; None if they would divide by zero.
        statistic, p: test of a common odds ratio of 1.
        equal_odds_statistic, df, equal_p: test of equal odds ratios in all strata; None with one informative stratum,
            or without an odds ratio.
        rows: number of rows.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "mantel-haenszel"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "rows": "d", "odds_ratio": ".4g"}

    strata: tuple[Stratum, ...]
    cells: tuple[str, ...]
    counts: Array
    odds_ratio: Ratio | None
    risk_ratio: Ratio | None
    statistic: float
    p: float
    equal_odds_statistic: float | None
    df: int
    equal_p: float | None
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each stratum."""
        return [
            one._asdict() | dict(zip(self.cells, table.ravel().tolist(), strict=True))
            for one, table in zip(self.strata, self.counts, strict=True)
        ]

    @property
    def title(self) -> str:
        return "Mantel-Haenszel odds ratio over strata"

    def facts(self) -> dict[str, Any]:
        ratios = {"Odds ratio": self.odds_ratio, "Risk ratio": self.risk_ratio}
        return {
            "Rows": self.rows,
            **{
                name: f"{ratio.value:.5g} ({ratio.lower:.4g} to {ratio.upper:.4g})"
                for name, ratio in ratios.items()
                if ratio
            },
            "Chi-square": self.statistic,
            "p": f"{self.p:.3g}",
            "Equal odds (Breslow-Day)": self.equal_odds_statistic,
            "P of equal odds": None if self.equal_p is None else f"{self.equal_p:.3g}",
        }


async def combine_tables(spec: MantelHaenszelSpec, secure_sum: SecureSum) -> MantelHaenszelResult:
    """Combine the tables that `spec` describes.

    Raises:
        NoRowsError: there are no rows, or no stratum has both levels of both categories.
    """
    by = (spec.row, spec.column, *spec.strata)
    answer = await secure_sum(
        spec.ask(CONTINGENCY, ContingencyParams(by=by, row_limit=spec.row_limit), secure_sum.value_bits)
    )
    every = answer.values["counts"]
    warnings = [*spec.warn_of_withheld(answer.values), *warn_of_other_codes(by, every)]
    inside = every[tuple(slice(-1) for _ in by)].reshape(2, 2, -1).transpose(2, 0, 1)
    names = _names(spec)
    there = np.flatnonzero(inside.sum(axis=(1, 2)))
    if not len(there):
        raise refusal("across all sites, no row meets the filter and has all values", warnings)
    tables = inside[there]
    margins = np.concatenate([tables.sum(axis=1), tables.sum(axis=2)], axis=1)
    informative = tables[(margins > 0).all(axis=1)]
    if not len(informative):
        raise NoRowsError("no stratum has both levels of both categories, so there is nothing to compare")
    statistic = _statistic(informative, 0.5 if spec.correction else 0.0)
    odds_ratio = _odds_ratio(informative)
    equal = _equal_odds(informative, odds_ratio.value) if odds_ratio and len(informative) > 1 else None
    df = len(informative) - 1
    return MantelHaenszelResult(
        strata=tuple(
            Stratum(name, round(float(table.sum())), _of_one(table))
            for name, table in zip([names[place] for place in there], tables, strict=True)
        ),
        cells=tuple(cell_names(levels_of(spec.row), levels_of(spec.column))),
        counts=tables,
        odds_ratio=odds_ratio,
        risk_ratio=_risk_ratio(informative),
        statistic=statistic,
        p=float(chdtrc(1, statistic)),
        equal_odds_statistic=equal,
        df=df,
        equal_p=None if equal is None else float(chdtrc(df, equal)),
        rows=round(float(tables.sum())),
        sites=answer.sites,
        warnings=tuple(warnings),
    )


def _names(spec: MantelHaenszelSpec) -> list[str]:
    names = [""]
    for category in spec.strata:
        names = [f"{name}, {level}".removeprefix(", ") for name in names for level in levels_of(category)]
    return names


def _parts(tables: Array) -> tuple[Array, Array, Array, Array, Array]:
    return tables[:, 0, 0], tables[:, 0, 1], tables[:, 1, 0], tables[:, 1, 1], tables.sum(axis=(1, 2))


def _of_one(table: Array) -> float | None:
    (a, b), (c, d) = table.tolist()
    return a * d / (b * c) if b * c else None


def _statistic(tables: Array, correction: float) -> float:
    a, b, c, d, n = _parts(tables)
    expected = (a + b) * (a + c) / n
    variance = (a + b) * (c + d) * (a + c) * (b + d) / (n**2 * (n - 1))
    return max(abs(float((a - expected).sum())) - correction, 0.0) ** 2 / float(variance.sum())


def _odds_ratio(tables: Array) -> Ratio | None:
    a, b, c, d, n = _parts(tables)
    r, s, p, q = a * d / n, b * c / n, (a + d) / n, (b + c) / n
    above, below = float(r.sum()), float(s.sum())
    if not above or not below:
        return None
    variance = (p @ r) / (2 * above**2) + (p @ s + q @ r) / (2 * above * below) + (q @ s) / (2 * below**2)
    return _ratio(above / below, float(variance))


def _risk_ratio(tables: Array) -> Ratio | None:
    a, b, c, d, n = _parts(tables)
    above, below = float((a * (c + d) / n).sum()), float((c * (a + b) / n).sum())
    if not above or not below:
        return None
    variance = float((((a + b) * (c + d) * (a + c) - a * c * n) / n**2).sum()) / (above * below)
    return _ratio(above / below, variance)


def _ratio(value: float, variance: float) -> Ratio:
    margin = float(ndtri(0.975)) * sqrt(variance)
    return Ratio(value, exp(log(value) - margin), exp(log(value) + margin))


def _equal_odds(tables: Array, ratio: float) -> float:
    """Return Breslow and Day's statistic: each first cell beside the one that a common odds ratio would give it."""
    a, b, c, d, _ = _parts(tables)
    row, column, other = a + b, a + c, c + d
    # The root, within the margins, of (1 - ratio) x^2 + (other - column + ratio (row + column)) x = ratio row column,
    # in the form without cancellation, which also holds for a ratio of 1.
    linear = other - column + ratio * (row + column)
    expected = 2 * ratio * row * column / (linear + np.sqrt(linear**2 + 4 * (1 - ratio) * ratio * row * column))
    variance = 1 / (1 / expected + 1 / (row - expected) + 1 / (column - expected) + 1 / (other - column + expected))
    plain = float(((a - expected) ** 2 / variance).sum())
    return plain - float((a - expected).sum()) ** 2 / float(variance.sum())
