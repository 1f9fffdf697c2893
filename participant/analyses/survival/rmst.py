"""Restricted mean survival time: the mean time without the event up to a horizon, by group, and its differences.

With S the Kaplan-Meier curve on the agreed grid (`kaplan_meier`), T the horizon, d_k events and n_k rows at risk at
grid time t_k:

    mean  = integral of S from 0 to T
    var   = sum over t_k <= T of a_k^2 d_k / (n_k (n_k - d_k)),   a_k = integral of S from t_k to T

and the difference of two groups has the sum of their variances; each group is compared with the first one. Unlike a
hazard ratio, the difference needs no proportional hazards, and has the units of the times.

A worked example: of two rows, one has the event at 1 and one is censored at 3. S is 1 before 1 and 1/2 after, so up
to 2 the mean is 3/2, a_1 = 1/2 and the variance is 1/4 1/2 = 1/8.

One round. If nobody in a group is at risk at the horizon, its curve is continued at its last value, and a warning says
so. Disclosure: that of `event-counts` by group.

    analysis = "rmst"
    dataset = "lung"
    time = "time"
    event = "status"
    grid = {width = 7, count = 150}
    horizon = 730
    group = {column = "sex", levels = [1, 2]}
    minimum_persons = 1
    row_limit = 1000

Sources: Klein, Moeschberger 2003, "Survival Analysis", section 4.5; Royston, Parmar 2013, BMC Med Res Methodol 13:152.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from participant.analyses.base.declared import levels_of, occurring, refusal, warn_of_other_codes
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import SurvivalSpec
from participant.statistics.evaluation.registry import EVENT_COUNTS
from participant.statistics.language.layout import Array
from participant.statistics.language.query import MAX_COLUMNS, Name
from participant.statistics.models.design import Category
from participant.statistics.models.special import ndtr, ndtri
from participant.statistics.vocabulary.event_counts import EventCountsParams


class RmstSpec(SurvivalSpec):
    """Restricted means.

    Attributes:
        horizon: time up to which the mean is taken, within the grid.
        group: category whose levels are compared, or None for all rows together.
        complete: further columns in which a row must be complete.
    """

    single_sum: ClassVar[bool] = True
    analysis: Literal["rmst"] = "rmst"
    horizon: FiniteFloat = Field(gt=0)
    group: Category | None = None
    complete: Annotated[tuple[Name, ...], Field(max_length=MAX_COLUMNS - 3)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        end = self.grid.width * self.grid.count
        if self.horizon > end * (1 + 1e-12):
            raise ValueError(f"the horizon {self.horizon:g} is beyond the end of the grid, {end:g}")
        return self

    async def analyse(self, secure_sum: SecureSum) -> "RmstResult":
        """Run the analysis; raises the same errors as `restricted_means`."""
        return await restricted_means(self, secure_sum)


class RestrictedMean(NamedTuple):
    """A group: its rows, events up to the horizon, mean with standard error and 95 % interval, and the difference from
    the first group with its interval and p-value; None for the first group itself.
    """

    name: str
    rows: int
    events: int
    rmst: float
    se: float
    lower: float
    upper: float
    difference: float | None
    difference_lower: float | None
    difference_upper: float | None
    p: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RmstResult(AnalysisResult):
    """The means of the groups that have rows.

    Attributes:
        groups: groups; one, called ``all``, without a category.
        horizon: time up to which the means are taken.
        time_unit: unit of the times.
        rows: number of rows in the groups.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "rmst"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "rows": "d",
        "events": "d",
        "rmst": ".5g",
        "se": ".4g",
        "lower": ".5g",
        "upper": ".5g",
        "difference": ".4g",
        "difference_lower": ".4g",
        "difference_upper": ".4g",
        "p": ".3g",
    }
    drawn: ClassVar[str] = "rmst"

    groups: tuple[RestrictedMean, ...]
    horizon: float
    time_unit: str
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each group."""
        return [group._asdict() for group in self.groups]

    @property
    def title(self) -> str:
        return f"Restricted mean survival time up to {self.horizon:g} {self.time_unit}"

    def facts(self) -> dict[str, Any]:
        return {"Patients": self.rows, "Horizon": f"{self.horizon:g} {self.time_unit}"}


async def restricted_means(spec: RmstSpec, secure_sum: SecureSum) -> RmstResult:
    """Estimate the means that `spec` describes.

    Raises:
        NoRowsError: there are no rows, or fewer than two groups have some.
        CodingError: negative times, or event codes other than 0 and 1, at some site.
    """
    by = (spec.group,) if spec.group else ()
    params = EventCountsParams(outcome=spec.outcome, by=by, row_limit=spec.row_limit)
    answer = await secure_sum(spec.ask(EVENT_COUNTS, params, secure_sum.value_bits, complete=spec.complete))
    spec.check_coding(answer.values["outside"])
    events, at_risk = (answer.values[name].reshape(-1, spec.grid.count + 1) for name in ("events", "at_risk"))
    warnings = [*spec.warn_of_withheld(answer.values), *warn_of_other_codes(by, at_risk[:, 0])]
    names: tuple[str, ...] = ("all",)
    if not at_risk.any():
        raise refusal("across all sites, no row meets the filter and has all values", warnings)
    if spec.group:
        there, absent = occurring(spec.group, at_risk[:-1, 0], warnings)
        names, events, at_risk = tuple(levels_of(spec.group)[place] for place in there), events[there], at_risk[there]
        warnings += absent
    means = [_mean(spec, *counts) for counts in zip(events, at_risk, strict=True)]
    last = [float(spec.grid.times[np.flatnonzero(rows)[-1]]) for rows in at_risk]
    warnings += [
        f"nobody of {name} is at risk after {end:g} {spec.time_unit}: the curve is continued at its last value"
        for name, end, (_, _, survival) in zip(names, last, means, strict=True)
        if end < spec.horizon and survival > 0
    ]
    within = spec.grid.times <= spec.horizon
    return RmstResult(
        groups=tuple(
            _group(name, round(float(n[0])), round(float(d[within].sum())), mean[:2], means[0][:2] if place else None)
            for place, (name, d, n, mean) in enumerate(zip(names, events, at_risk, means, strict=True))
        ),
        horizon=spec.horizon,
        time_unit=spec.time_unit,
        rows=round(float(at_risk[:, 0].sum())),
        sites=answer.sites,
        warnings=tuple(warnings),
    )


def _mean(spec: RmstSpec, events: Array, at_risk: Array) -> tuple[float, float, float]:
    """Return the mean, its variance, and the survival at the horizon, from counts at time 0 and the grid times."""
    times = spec.grid.times
    here = times <= spec.horizon
    d, n = events[here], at_risk[here]
    survival = np.cumprod(1 - d / np.maximum(n, 1))
    pieces = survival * np.diff(np.append(times[here], spec.horizon))
    left = pieces[::-1].cumsum()[::-1]  # the integral from each time on
    greenwood = np.where(n > d, d / np.maximum(n * (n - d), 1), 0.0)  # nothing is left where all have the event
    return float(left[0]), float(left**2 @ greenwood), float(survival[-1])


def _group(
    name: str, rows: int, events: int, mean: tuple[float, float], first: tuple[float, float] | None
) -> RestrictedMean:
    z = float(ndtri(0.975))
    value, se = mean[0], mean[1] ** 0.5
    lower, upper = value - z * se, value + z * se
    if first is None:
        return RestrictedMean(name, rows, events, value, se, lower, upper, None, None, None, None)
    off, spread = value - first[0], (mean[1] + first[1]) ** 0.5
    p = float(2 * ndtr(-abs(off) / spread)) if spread else None
    return RestrictedMean(name, rows, events, value, se, lower, upper, off, off - z * spread, off + z * spread, p)
