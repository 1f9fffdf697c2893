"""Grambsch and Therneau's tests of proportional hazards, from the sums of one further round.

With g a function of time, centred over the d events, s = z - m the Schoenfeld residual of an event (`m` as in
`partial_likelihood`), I the information and V = I^-1,

    u        = sum over events of g s
    residual_j = d (V u)_j^2 / (V_jj sum of g^2)          the trend of covariate j's scaled Schoenfeld residuals
    score_j    = u_j^2 / (K - H V H)_jj                   the score test of z_j g(t) as a further covariate
    global     = u' (K - H V H)^-1 u                      of all of them at once

are chi-square with 1 degree of freedom, or p degrees for the last one. Here H and K are the information with each
event's part weighted by g and g^2. The first test approximates each event's part of the information by I / d, as
Grambsch and Therneau did in 1994 and lifelines does; the second does not, and is better if risk sets change greatly
over time.

If events fall on too few grid times to show a trend, for example on a single one, there is no test.

g(t) is the time itself, its logarithm, the mean rank of the event among all events, or 1 - S(t), with S the
Kaplan-Meier survival of all rows.

A worked example: of two patients with z = 0 and z = 1, the one with z = 1 dies at time 1 and the other
at time 2; at b = 0 the only risk set with both has m = 1/2, and s = 1/2.

Disclosure: the sum of the covariates of all events, weighted by time; see
`participant.statistics.vocabulary.cox_risk_sets`.

Sources: Grambsch, Therneau 1994, Biometrika 81:515; Therneau, Grambsch 2000, "Modeling survival data", chapter 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from participant.analyses.survival.partial_likelihood import risk_sets
from participant.statistics.language.layout import Array
from participant.statistics.models.outcome import Grid
from participant.statistics.models.special import chdtrc
from participant.statistics.vocabulary.cox_risk_sets import CoxRiskSetsParams

TOLD = 1e-9  # smallest eigenvalue of the score test's denominator, scaled to unit diagonal of K

Transform = Literal["identity", "log", "rank", "km"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProportionalHazards:
    """The tests. Arrays are (p,) in the order of the covariates.

    Attributes:
        transform: function g of time.
        residual, residual_p: test of the scaled Schoenfeld residuals, as in lifelines.
        score, score_p: score test of the covariate times g(t).
        overall, overall_p: joint score test of all covariates.
    """

    transform: Transform
    residual: Array
    residual_p: Array
    score: Array
    score_p: Array
    overall: float
    overall_p: float


def trend_of(transform: Transform, grid: Grid, events: Array, at_risk: Array) -> Array:
    """Return g at time 0 and every grid time, (K + 1,), centred over the events; the counts, (K + 1,), cover all
    strata. With the logarithm, no event may be at time 0.
    """
    match transform:
        case "identity":
            g = grid.times
        case "log":
            g = np.log(np.maximum(grid.times, grid.width))
        case "rank":
            g = np.array(np.cumsum(events) - (events - 1) / 2)
        case "km":
            g = np.array(1 - np.cumprod(1 - events / np.maximum(at_risk, 1)))
    centred: Array = g - events @ g / events.sum()
    return centred


def proportional_hazards(
    params: CoxRiskSetsParams, sums: Mapping[str, Array], transform: Transform
) -> ProportionalHazards | None:
    """Return the tests from the sums of `cox-risk-sets` at the estimate; `params.trend` is g. None if the event times
    cannot show a trend.
    """
    risk = risk_sets(params, sums)
    g = np.array(params.trend)[risk.time]
    u = sums["event_trend"] - risk.means @ g
    covariance = np.linalg.inv(risk.information(np.ones(len(g))))
    cross = risk.information(g)
    moving = risk.information(g * g)
    left = moving - cross @ covariance @ cross
    unit = np.sqrt(np.outer(np.diag(moving), np.diag(moving)))
    if not (unit > 0).all() or np.linalg.eigvalsh(left / unit)[0] <= TOLD:
        return None
    residual = len(g) * (covariance @ u) ** 2 / (np.diag(covariance) * (g @ g))
    score = u**2 / np.diag(left)
    overall = float(u @ np.linalg.solve(left, u))
    return ProportionalHazards(
        transform=transform,
        residual=residual,
        residual_p=chdtrc(1, residual),
        score=score,
        score_p=chdtrc(1, score),
        overall=overall,
        overall_p=float(chdtrc(len(u), overall)),
    )
