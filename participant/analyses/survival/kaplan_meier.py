"""Kaplan-Meier survival curve of the rows of all sites, on the agreed grid, from one sum.

    S(k)   = product over j <= k of (1 - d_j / n_j)
    var S  = S(k)^2 sum over j <= k of d_j / (n_j (n_j - d_j))                    (Greenwood)
    band   = S(k)^exp(+- 1.96 g),  g = sqrt(sum above) / log S(k)                 (log-log, pointwise 95 %)
    median = the first grid time with S <= 1/2; its interval ends where the band crosses 1/2

with d_j events and n_j rows at risk at grid time j across all sites; j = 0 is time 0 itself, where rows may leave too.
Where S is 1, the band is [1, 1]; where S is 0, there is no band (NaN). The curve is exact on the grid; nothing is known
within an interval.

A worked example: of six patients, one has the event at time 1, one is censored at 2, one has it at 2 and two at 4; then
S is 5/6, 5/6 4/5 = 2/3 and 2/3 1/3 = 2/9. As a specification:

    analysis = "kaplan-meier"
    dataset = "lung"
    time = "time"
    event = "status"
    grid = {width = 7, count = 150}
    minimum_persons = 1     # these sites have an event or two in most weeks
    row_limit = 1000

Disclosure: see `participant.statistics.vocabulary.event_counts`.

Sources: Kaplan, Meier 1958, J Am Stat Assoc 53:457; Kalbfleisch, Prentice 2002, section 1.4; Brookmeyer, Crowley 1982,
Biometrics 38:29, for the median's interval.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from participant.analyses.base.declared import refusal
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import SurvivalSpec
from participant.statistics.evaluation.registry import EVENT_COUNTS
from participant.statistics.language.layout import Array
from participant.statistics.language.query import MAX_COLUMNS, Name
from participant.statistics.models.special import ndtri
from participant.statistics.vocabulary.event_counts import EventCountsParams


class KaplanMeierSpec(SurvivalSpec):
    """A survival curve; `complete` names further columns that rows must have, to match a regression's patients."""

    single_sum: ClassVar[bool] = True
    analysis: Literal["kaplan-meier"] = "kaplan-meier"
    complete: Annotated[tuple[Name, ...], Field(max_length=MAX_COLUMNS - 2)] = ()

    async def analyse(self, secure_sum: SecureSum) -> "KaplanMeierResult":
        """Run the analysis; raises the same errors as `estimate_kaplan_meier`."""
        return await estimate_kaplan_meier(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KaplanMeierResult(AnalysisResult):
    """The curve. Arrays are (K + 1,) float64: time 0, then the K grid times.

    Attributes:
        times: times in `time_unit`.
        survival: probability of no event up to and including each time.
        se: standard error of the survival (Greenwood).
        lower, upper: pointwise 95 % band.
        at_risk: rows with this time or a later one.
        events: rows with an event at this time.
        censored: rows censored at this time; at the last time, also all rows with a longer time.
        median: median survival, None if the curve stays above one half.
        median_lower, median_upper: 95 % interval of the median, None if the band does not cross one half.
        rows: number of rows across all sites.
        time_unit: unit of the times.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "kaplan-meier"

    times: Array
    survival: Array
    se: Array
    lower: Array
    upper: Array
    at_risk: Array
    events: Array
    censored: Array
    median: float | None
    median_lower: float | None
    median_upper: float | None
    rows: int
    time_unit: str
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each time, as plain numbers; None where the band does not exist."""
        columns = {
            "time": self.times,
            "at_risk": self.at_risk,
            "events": self.events,
            "censored": self.censored,
            "survival": self.survival,
            "se": self.se,
            "lower": self.lower,
            "upper": self.upper,
        }
        return [
            {name: None if np.isnan(column[i]) else float(column[i]) for name, column in columns.items()}
            for i in range(len(self.times))
        ]

    @property
    def title(self) -> str:
        return "Kaplan-Meier curve"

    def facts(self) -> dict[str, Any]:
        interval = [_time(bound) for bound in (self.median_lower, self.median_upper)]
        median = "not reached" if self.median is None else f"{self.median:g} {self.time_unit}"
        return {
            "Patients": self.rows,
            "Events": round(float(self.events.sum())),
            "Median survival": median,
            "95 % interval": " to ".join(interval),
        }


async def estimate_kaplan_meier(spec: KaplanMeierSpec, secure_sum: SecureSum) -> KaplanMeierResult:
    """Estimate the curve that `spec` describes, in one round.

    Raises:
        NoRowsError: across all sites, no row meets the filter and is complete.
        CodingError: negative times, or event codes other than 0 and 1, at some site.
    """
    params = EventCountsParams(outcome=spec.outcome, by=(), row_limit=spec.row_limit)
    answer = await secure_sum(spec.ask(EVENT_COUNTS, params, secure_sum.value_bits, complete=spec.complete))
    spec.check_coding(answer.values["outside"])
    at_risk, events = answer.values["at_risk"], answer.values["events"]
    warnings = spec.warn_of_withheld(answer.values)
    if not at_risk[0]:
        raise refusal("across all sites, no row meets the filter and has all values", warnings)
    return curve_of(spec, events, at_risk, answer.sites, tuple(warnings))


def curve_of(
    spec: SurvivalSpec, events: Array, at_risk: Array, sites: tuple[str, ...], warnings: tuple[str, ...]
) -> KaplanMeierResult:
    """Return the curve for counts at time 0 and the grid times, (K + 1,) each."""
    survival, se, lower, upper = _curve(events, at_risk)
    times = spec.grid.times
    return KaplanMeierResult(
        times=times,
        survival=survival,
        se=se,
        lower=lower,
        upper=upper,
        at_risk=at_risk,
        events=events,
        censored=at_risk - events - np.append(at_risk[1:], 0.0),
        median=_first_below_half(times, survival),
        median_lower=_first_below_half(times, lower),
        median_upper=_first_below_half(times, upper),
        rows=round(float(at_risk[0])),
        time_unit=spec.time_unit,
        sites=sites,
        warnings=warnings,
    )


def _curve(events: Array, at_risk: Array) -> tuple[Array, Array, Array, Array]:
    """Return survival, standard error and band at time 0 and the grid times, (K + 1,) each."""
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 once no row is at risk; log 0 where nobody survives
        hazard = np.where(at_risk > 0, events / at_risk, 0.0)
        survival = np.cumprod(1 - hazard)
        terms = np.where(events > 0, events / (at_risk * (at_risk - events)), 0.0)
        greenwood = np.sqrt(np.cumsum(terms))
        margin = float(ndtri(0.975)) * greenwood / np.log(survival)  # not positive
        lower, upper = survival ** np.exp(-margin), survival ** np.exp(margin)
    certain, nobody = survival == 1, survival == 0  # exact: a product of ones, or one with a zero
    se = np.where(nobody, np.nan, survival * np.where(nobody, 0.0, greenwood))
    lower, upper = (np.where(certain, 1.0, np.where(nobody, np.nan, band)) for band in (lower, upper))
    return survival, se, lower, upper


def _first_below_half(times: Array, curve: Array) -> float | None:
    # A product of fractions that equals one half may round to slightly more.
    below = np.flatnonzero(curve <= 0.5 + 1e-12)
    return float(times[below[0]]) if len(below) else None


def _time(bound: float | None) -> str:
    return "?" if bound is None else f"{bound:g}"
