"""The functions of time used to test proportional hazards, and the module's example."""

import numpy as np
import pytest

from participant.analyses.survival.cox import CoxSpec
from participant.analyses.survival.partial_likelihood import risk_sets
from participant.analyses.survival.proportional_hazards import trend_of
from participant.statistics.evaluation.registry import COX_RISK_SETS
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.outcome import Grid
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.cox_risk_sets import CoxRiskSetsParams

GRID = Grid(width=2, count=4)
EVENTS = np.array([0.0, 1.0, 0.0, 2.0, 1.0])
AT_RISK = np.array([6.0, 5.0, 4.0, 4.0, 1.0])


@pytest.mark.parametrize(
    ("transform", "g"),
    [
        ("identity", [2, 4, 6, 8]),
        ("log", np.log([2, 4, 6, 8])),
        ("rank", [1, 1.5, 2.5, 4]),
        ("km", [1 / 5, 1 / 5, 3 / 5, 1]),
    ],
)
def test_trends_are_centred_over_the_events(transform: str, g: list) -> None:
    trend = trend_of(transform, GRID, EVENTS, AT_RISK)
    assert EVENTS @ trend == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(np.diff(trend[1:]), np.diff(g))


def test_worked_example() -> None:
    """Of two patients the one with z = 1 dies first: the residual is one half."""
    spec = CoxSpec(
        dataset="d",
        time="t",
        event="e",
        grid=Grid(width=1, count=2),
        covariates=(Variable(column="z", low=0, high=1),),
        row_limit=2,
    )
    params = CoxRiskSetsParams(
        outcome=spec.outcome,
        design=Design(terms=((Numeric(column="z", low=0, high=1),),)),
        strata=(),
        beta=(0.0,),
        log_weight_limit=0.0,
        at=(1, 2),
        tied=(),
        trend=(-0.5, 0.5),
        event_ends=(),
        censored_ends=(),
        row_limit=2,
    )
    sums = COX_RISK_SETS.compute(params, {"t": np.array([2.0, 1.0]), "e": np.ones(2), "z": np.array([0.0, 1.0])})
    risk = risk_sets(params, sums)
    np.testing.assert_allclose(risk.means, [[0.5, 0.0]])
    np.testing.assert_allclose(sums["event_trend"] - risk.means @ np.array(params.trend), [-0.25])  # -0.5 times 1 - 0.5
