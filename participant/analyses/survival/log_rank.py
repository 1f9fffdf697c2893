"""Survival by group, from one sum: a Kaplan-Meier curve for each, and the log-rank test of their difference.

With d_gk events and n_gk rows at risk of group g at grid time k, d_k and n_k over all groups, and weights w_k,

    observed_g = sum over k of d_gk
    expected_g = sum over k of d_k n_gk / n_k
    U_g        = sum over k of w_k (d_gk - d_k n_gk / n_k)
    V_gh       = sum over k of w_k^2 d_k (n_k - d_k) / (n_k - 1) n_gk / n_k ([g = h] - n_hk / n_k)

and U' V^- U is chi-square with the rank of V as degrees of freedom: the groups ever at risk at an event, less one. In
the stratified test, U and V are sums over the strata, each with its own risk sets; the curves cover all strata.
Weights: 1 for log-rank, n_k for Wilcoxon (Gehan-Breslow), the root of n_k for Tarone-Ware.

A worked example: two groups of two, with events at 1 and 2 in the first and at 3 and 4 in the second. The first group
is expected to have 2/4 + 1/3 = 5/6 events and has 2, V = 1/4 + 2/9 = 17/36, and (7/6)^2 / (17/36) = 2.88, p = 0.09. As
a specification:

    analysis = "log-rank"
    dataset = "lung"
    time = "time"
    event = "status"
    grid = {width = 7, count = 150}
    minimum_persons = 1     # these sites have an event or two in most weeks
    row_limit = 1000
    group = {column = "ph.ecog", levels = [0, 1, 2]}
    strata = [{column = "sex", levels = [1, 2]}]

Disclosure: that of a Kaplan-Meier curve of every group in every stratum; see
`participant.statistics.vocabulary.event_counts`.

Sources: Mantel 1966, Cancer Chemother Rep 50:163; Tarone, Ware 1977, Biometrika 64:156; Klein, Moeschberger 2003,
"Survival Analysis", sections 7.3 and 7.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from participant.analyses.base.declared import refusal
from participant.analyses.base.errors import NoEventsError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import SurvivalSpec
from participant.analyses.survival.kaplan_meier import KaplanMeierResult, curve_of
from participant.statistics.evaluation.registry import EVENT_COUNTS
from participant.statistics.language.layout import Array
from participant.statistics.language.query import MAX_COLUMNS, Name
from participant.statistics.models.cells import MAX_CATEGORIES, Categories, few_cells
from participant.statistics.models.design import Category
from participant.statistics.models.special import chdtrc
from participant.statistics.vocabulary.event_counts import EventCountsParams

SINGULAR = 1e-9  # share of the largest eigenvalue that rounding may leave of a zero eigenvalue

Weighting = Literal["log-rank", "wilcoxon", "tarone-ware"]


class LogRankSpec(SurvivalSpec):
    """A comparison of groups.

    Attributes:
        group: category whose levels are compared.
        strata: categories, each combination of which has its own risk sets.
        weighting: weights of the times.
        complete: further columns in which a row must be complete.
    """

    single_sum: ClassVar[bool] = True
    analysis: Literal["log-rank"] = "log-rank"
    group: Category
    strata: Annotated[Categories, Field(max_length=MAX_CATEGORIES - 1)] = ()
    weighting: Weighting = "log-rank"
    complete: Annotated[tuple[Name, ...], Field(max_length=MAX_COLUMNS - 2 - MAX_CATEGORIES)] = ()

    @model_validator(mode="after")
    def _check_cells(self) -> Self:
        few_cells((self.group, *self.strata))
        return self

    async def analyse(self, secure_sum: SecureSum) -> "LogRankResult":
        """Run the analysis; raises the same errors as `compare_survival`."""
        return await compare_survival(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogRankResult(AnalysisResult):
    """Curves and test. Arrays are (G,) float64 in the order of `names`.

    Attributes:
        names: names of the groups that have rows.
        curves: Kaplan-Meier curve of each group.
        observed, expected: events of each group, and those expected if all groups had the same hazard.
        statistic, df, p: test statistic, degrees of freedom, p-value.
        weighting: weights of the times.
        strata: columns of the strata.
        rows, events: numbers of rows and events over all groups.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "log-rank"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "rows": "d",
        "observed": "d",
        "expected": ".2f",
        "median": "g",
        "lower": "g",
        "upper": "g",
    }

    names: tuple[str, ...]
    curves: tuple[KaplanMeierResult, ...]
    observed: Array
    expected: Array
    statistic: float
    df: int
    p: float
    weighting: Weighting
    strata: tuple[str, ...]
    rows: int
    events: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each group; `lower` to `upper` is the interval of its median, None if not reached."""
        return [
            {
                "name": name,
                "rows": curve.rows,
                "observed": round(float(self.observed[i])),
                "expected": float(self.expected[i]),
                "median": curve.median,
                "lower": curve.median_lower,
                "upper": curve.median_upper,
            }
            for i, (name, curve) in enumerate(zip(self.names, self.curves, strict=True))
        ]

    @property
    def title(self) -> str:
        test = {"log-rank": "log-rank test", "wilcoxon": "Wilcoxon's test", "tarone-ware": "Tarone and Ware's test"}
        strata = f", strata of {' and '.join(self.strata)}" if self.strata else ""
        return f"Kaplan-Meier curves by group and {test[self.weighting]}{strata}"

    def facts(self) -> dict[str, Any]:
        return {
            "Patients": self.rows,
            "Events": self.events,
            "Chi-square": self.statistic,
            "Degrees of freedom": self.df,
            "P > chi-square": f"{self.p:.3g}",
        }

    def notes(self) -> list[str]:
        return [f"Median survival in {self.curves[0].time_unit} with its 95 % interval; - if not reached."]


async def compare_survival(spec: LogRankSpec, secure_sum: SecureSum) -> LogRankResult:
    """Estimate the curves of the groups of `spec` and test whether they differ, in one round.

    Raises:
        NoRowsError: fewer than two groups have rows.
        NoEventsError: no event lies on the grid while rows of two groups are at risk.
        CodingError: negative times, or event codes other than 0 and 1, at some site.
    """
    params = EventCountsParams(outcome=spec.outcome, by=(spec.group, *spec.strata), row_limit=spec.row_limit)
    answer = await secure_sum(spec.ask(EVENT_COUNTS, params, secure_sum.value_bits, complete=spec.complete))
    spec.check_coding(answer.values["outside"])
    warnings = spec.warn_of_withheld(answer.values) + _other_codes(spec, answer.values["at_risk"][..., 0])
    levels = len(spec.group.levels)
    at_risk, events = (
        answer.values[name][:levels].reshape(levels, -1, spec.grid.count + 1) for name in ("at_risk", "events")
    )
    names = [f"{spec.group.column}[{level:g}]" for level in spec.group.levels]
    present = at_risk[..., 0].sum(axis=1) > 0
    if np.count_nonzero(present) < 2:
        few = f"fewer than two levels of {spec.group.column} have complete rows that meet the filter"
        raise refusal(few, warnings)
    warnings += [f"{name} has no rows; the comparison leaves it out" for name in _where(names, ~present)]
    names, at_risk, events = _where(names, present), at_risk[present], events[present]
    u, v, expected = _compared(events, at_risk, spec.weighting)
    df = int(np.linalg.matrix_rank(v, hermitian=True, rtol=SINGULAR))
    if not df:
        raise NoEventsError(
            "no event lies on the grid while rows of two groups are at risk, so there is nothing to compare"
        )
    warnings += [
        f"{name} is never at risk at an event; the test leaves it out" for name in _where(names, np.diag(v) <= 0)
    ]
    statistic = float(u @ np.linalg.pinv(v, hermitian=True, rtol=SINGULAR) @ u)
    return LogRankResult(
        names=tuple(names),
        curves=tuple(
            curve_of(spec, d.sum(axis=0), n.sum(axis=0), answer.sites, ()) for d, n in zip(events, at_risk, strict=True)
        ),
        observed=events.sum(axis=(1, 2)),
        expected=expected,
        statistic=statistic,
        df=df,
        p=float(chdtrc(df, statistic)),
        weighting=spec.weighting,
        strata=tuple(category.column for category in spec.strata),
        rows=round(float(at_risk[..., 0].sum())),
        events=round(float(events.sum())),
        sites=answer.sites,
        warnings=tuple(warnings),
    )


def _compared(events: Array, at_risk: Array, weighting: Weighting) -> tuple[Array, Array, Array]:
    """Return U (G,), V (G, G) and the expected events (G,) from counts (G, strata, K)."""
    d, n = events.sum(axis=0), at_risk.sum(axis=0)
    share = at_risk / np.maximum(n, 1)
    w = {"log-rank": np.ones_like(n), "wilcoxon": n, "tarone-ware": np.sqrt(n)}[weighting]
    u = (w * (events - d * share)).sum(axis=(1, 2))
    spread = w * w * d * (n - d) / np.maximum(n - 1, 1)
    v = np.diag((spread * share).sum(axis=(1, 2))) - np.einsum("sk,gsk,hsk->gh", spread, share, share)
    return u, v, (d * share).sum(axis=(1, 2))


def _other_codes(spec: LogRankSpec, rows: Array) -> list[str]:
    """Return warnings if `rows`, by group and strata, counts rows outside the declared levels."""
    found = []
    if other := round(float(rows[-1].sum())):
        found.append(
            f"{other} rows have a value of {spec.group.column} that is not a declared level; they are left out"
        )
    grouped = rows[:-1]
    if other := round(float(grouped.sum() - grouped[(slice(None), *(slice(-1) for _ in spec.strata))].sum())):
        columns = " or ".join(category.column for category in spec.strata)
        found.append(
            f"{other} rows have a value of {columns} that is not a declared level; they form strata of their own"
        )
    return found


def _where(names: list[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen]
