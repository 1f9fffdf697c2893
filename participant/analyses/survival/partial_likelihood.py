"""The partial likelihood, its score and its information, from the risk-set sums of all sites.

With D(k) the d_k rows with an event at grid time k, S0, S1, S2 the sums of w, w z, w z z' over the rows at risk at k,
T0, T1, T2 the same over D(k), and f = i / d_k for i = 0 ... d_k - 1:

    l(b)        = sum of b.z over D(k) - sum of log(S0 - f T0)
    score       = sum of z over D(k)   - sum of m,               m = (S1 - f T1) / (S0 - f T0)
    information = sum of (S2 - f T2) / (S0 - f T0) - m m'

where every sum also runs over the grid times, and those with f also over i. This is Efron's treatment of ties; without
tie sums, T is 0 and it is Breslow's. The grid times of several strata are concatenated.

Sources: Breslow 1974, Biometrics 30:89; Efron 1977, J Am Stat Assoc 72:557; Therneau, Grambsch 2000, "Modeling survival
data", section 3.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from participant.analyses.base.errors import NoEventsError, too_coarse
from participant.analyses.base.secure_sum import Sum
from participant.analyses.base.symmetric import symmetric
from participant.statistics.language.layout import Array
from participant.statistics.vocabulary.cox_risk_sets import CoxRiskSetsParams


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """The partial likelihood at one `beta`, for standardised covariates.

    Attributes:
        beta: (p,) coefficients.
        log_likelihood, score, information: (), (p,), (p, p).
        log_likelihood_error, score_error: (), (p,) first-order bounds on the effect of rounding.
        rows, events: numbers of rows and events across all sites.
        outside: numbers of clipped values: (p,) covariates, then as in `Outcome`.
        sites: names of the contributing sites.
    """

    beta: Array
    log_likelihood: float
    score: Array
    information: Array
    log_likelihood_error: float
    score_error: Array
    rows: int
    events: int
    outside: Array
    sites: tuple[str, ...]

    @property
    def rounding(self) -> float:
        """Bound on the effect of rounding on an estimate, in standard errors; infinite if no information is left."""
        diagonal = np.diag(self.information)
        return float((self.score_error / np.sqrt(diagonal)).max()) if (diagonal > 0).all() else inf


def partial_likelihood(params: CoxRiskSetsParams, answer: Sum, steps: Mapping[str, Array]) -> Point:
    """Return the point that the sums of `cox-risk-sets` describe.

    Args:
        params: parameters of the query.
        answer: the sums.
        steps: quantisation steps of the sums (`Layout.steps`).

    Raises:
        NoEventsError: the remaining sites have no event.
        PrecisionError: rounding loses the weight of a risk set.
    """
    sums = answer.values
    if not sums["events"].any():
        raise NoEventsError("the remaining sites have no event on the grid")
    risk = risk_sets(params, sums)
    if not (risk.total > 0).all():
        raise too_coarse("rounding loses the weight of a risk set")
    beta, f, m = np.array(params.beta), risk.f, risk.means
    # Half a step for each site and sum (tie sums have the same steps), propagated to first order.
    half = len(answer.sites) / 2
    error0 = half * steps["risk0"][0] * (1 + f)
    error1 = half * np.outer(steps["risk1"][:, 0], 1 + f)
    return Point(
        beta=beta,
        log_likelihood=float(beta @ sums["event_sum"] - np.log(risk.total).sum()),
        score=sums["event_sum"] - m.sum(axis=1),
        information=risk.information(np.ones(len(f))),
        log_likelihood_error=float((error0 / risk.total).sum() + half * np.abs(beta) @ steps["event_sum"]),
        score_error=half * steps["event_sum"] + ((error1 + np.abs(m) * error0) / risk.total).sum(axis=1),
        rows=round(float(sums["rows"])),
        events=len(f),
        outside=sums["outside"],
        sites=answer.sites,
    )


class RiskSets(NamedTuple):
    """The risk set of each of the d events over all times, less a fraction f of the rows tied with it.

    Attributes:
        time: (d,) position of the event's time among those requested.
        f: (d,) i / d_k.
        total: (d,) S0 - f T0.
        means: (p, d) m.
        risk2, tied2: (q, K) S2 and T2 at all times.
    """

    time: NDArray[np.int64]
    f: Array
    total: Array
    means: Array
    risk2: Array
    tied2: Array

    def information(self, weights: Array) -> Array:
        """Return the sum over events of weight, (d,), times the covariance in the risk set, (p, p)."""
        times = self.risk2.shape[1]
        second = self.risk2 @ np.bincount(self.time, weights / self.total, times)
        second -= self.tied2 @ np.bincount(self.time, weights * self.f / self.total, times)
        product: Array = (self.means * weights) @ self.means.T
        return symmetric(second, len(self.means)) - product


def risk_sets(params: CoxRiskSetsParams, sums: Mapping[str, Array]) -> RiskSets:
    """Return the risk sets that the sums of `cox-risk-sets` describe."""
    events = np.rint(sums["events"]).astype(np.int64)
    tied = np.searchsorted(params.at, params.tied)
    tied0, tied1, tied2 = (_at_all_times(sums[name], tied, len(events)) for name in ("tied0", "tied1", "tied2"))
    time = np.repeat(np.arange(len(events)), events)  # position of each event's time, in order
    f = (np.arange(len(time)) - np.repeat(np.cumsum(events) - events, events)) / events[time]
    total = sums["risk0"][time] - f * tied0[time]
    with np.errstate(divide="ignore", invalid="ignore"):  # callers reject risk sets without weight
        means = (sums["risk1"][:, time] - f * tied1[:, time]) / total
    return RiskSets(time, f, total, means, sums["risk2"], tied2)


def _at_all_times(sums: Array, tied: NDArray[np.intp], times: int) -> Array:
    """Return tie sums, (..., T), spread over all requested times, (..., K), zero elsewhere."""
    spread = np.zeros((*sums.shape[:-1], times))
    spread[..., tied] = sums
    return spread
