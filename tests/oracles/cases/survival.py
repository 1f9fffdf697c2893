"""Survival analyses beside lifelines, on the grid of the specification."""

import numpy as np

from coordinator.analyses import CoxSpec, KaplanMeierSpec
from coordinator.pooled import pooled_cox, pooled_kaplan_meier
from tests.oracles.case import Agreement, Sites, case, coefficients, p_values
from tests.support.trials import GBSG2, LUNG, ROSSI

COX = tuple(spec.model_copy(update={"minimum_persons": 1}) for spec in (LUNG, ROSSI, GBSG2))
CURVES = tuple(
    KaplanMeierSpec(
        dataset=spec.dataset,
        time=spec.time,
        event=spec.event,
        grid=spec.grid,
        row_limit=spec.row_limit,
        minimum_persons=1,
    )
    for spec in COX
)


@case(*COX)
async def cox(spec: CoxSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    expected = pooled_cox(sites.pooled(), spec)
    return [
        coefficients(result.coef, expected.coef),
        coefficients(result.se, expected.se, "standard errors"),
        p_values(result.p, expected.p),
    ]


@case(*CURVES)
async def kaplan_meier(spec: KaplanMeierSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    expected = pooled_kaplan_meier(sites.pooled(), spec)
    at = np.searchsorted(result.times, expected.times)
    some = expected.survival > 0  # where nobody survives there is no band, and lifelines makes one up
    return [
        p_values(result.survival[at], expected.survival, "survival"),
        p_values(result.lower[at[some]], expected.lower[some], "lower band"),
        p_values(result.upper[at[some]], expected.upper[some], "upper band"),
    ]
