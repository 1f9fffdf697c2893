"""Distance of predictions from outcomes, from the sums of a regression at given coefficients.

    mean deviance   by family: for probabilities twice the log loss, for the gaussian the mean squared error
    calibration     logit P(y = 1) = a + s eta,  with eta the predictor: a = 0 and s = 1 if it is calibrated

The calibration's intercept and slope (Cox) come from a logistic regression on eta. At s b + a e, with b the
coefficients and e the intercept's unit vector, score U and information I of the whole design give those of (a, s): U_e,
b.U, and I_ee, (I b)_e, b'I b. So the calibration is exact, and needs no sums other than those of `glm-score`.

Sources: Cox 1958, Biometrika 45:562; Van Calster et al. 2019, BMC Med 17:230.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from participant.analyses.base.declared import check_binary, refusal
from participant.analyses.base.errors import beyond_ranges
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.spec import TableSpec
from participant.analyses.base.symmetric import symmetric
from participant.analyses.learning.predictor import Predictor
from participant.statistics.evaluation.registry import GLM_SCORE
from participant.statistics.language.layout import Array
from participant.statistics.vocabulary.glm_score import MAX_LIMIT, GlmScoreParams

MAX_STEPS = 25
SETTLED = 1e-9  # largest last step, in standard errors
WIDE = 1e9  # limit of a gaussian linear predictor, beyond all declared ranges


class Loss(NamedTuple):
    """Mean deviance per row, with the number of rows, the sites and warnings."""

    rows: int
    deviance: float
    sites: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Intercept and slope, with standard errors."""

    intercept: float
    slope: float
    intercept_se: float
    slope_se: float


async def mean_deviance(spec: TableSpec, predictor: Predictor, secure_sum: SecureSum) -> Loss:
    """Return the mean deviance of a predictor on the rows of `spec`, in one round.

    Raises:
        NoRowsError: no row meets the filter and has all values.
        CodingError: a binary outcome has other values than 0 and 1.
        SpecError: the predictor exceeds the declared ranges.
    """
    answer = await _ask(spec, predictor, predictor.coefficients, secure_sum)
    values = answer.values
    beyond = round(float(values["beyond"]))
    cut = [f"the linear predictor of {beyond} rows exceeds {MAX_LIMIT:g} and was clipped"] if beyond else []
    return Loss(
        rows=round(float(values["rows"])),
        deviance=float(values["deviance"] / values["rows"]),
        sites=answer.sites,
        warnings=(*spec.warn_of_withheld(values, of_model=True), *cut),
    )


async def calibrate(spec: TableSpec, predictor: Predictor, secure_sum: SecureSum) -> Calibration | None:
    """Return the calibration on the rows of `spec`; None if there is no intercept, or it cannot be estimated."""
    if "1" not in predictor.design.names:
        return None
    e = (np.array(predictor.design.names) == "1").astype(np.float64)
    directions = np.stack([e, predictor.coefficients])
    at = np.array([0.0, 1.0])
    for _ in range(MAX_STEPS):
        values = (await _ask(spec, predictor, at @ directions, secure_sum)).values
        score = directions @ values["score"]
        information = directions @ symmetric(values["information"], len(e)) @ directions.T
        if not secure_sum.below(
            float(np.linalg.cond(information)), 1e12
        ):  # equal predictions, or predictions that separate the classes
            return None
        step = np.linalg.solve(information, score)
        at = at + step
        if secure_sum.below(float(step @ score), SETTLED**2):
            se = np.sqrt(np.diag(np.linalg.inv(information)))
            return Calibration(float(at[0]), float(at[1]), float(se[0]), float(se[1]))
    return None


async def _ask(spec: TableSpec, predictor: Predictor, coefficients: Array, secure_sum: SecureSum) -> Sum:
    try:
        params = GlmScoreParams(
            family=predictor.family,
            alpha=predictor.alpha,
            design=predictor.design,
            coefficients=tuple(coefficients.tolist()),
            outcome=predictor.outcome,
            offset=None,
            weight=None,
            limit=WIDE if predictor.family == "gaussian" else MAX_LIMIT,
            row_limit=spec.row_limit,
        )
    except ValidationError as error:
        raise beyond_ranges(error) from None
    answer = await secure_sum(spec.ask(GLM_SCORE, params, secure_sum.value_bits))
    if answer.values["rows"] < 1:
        few = spec.warn_of_withheld(answer.values, of_model=True)
        raise refusal("across all sites, no row meets the filter and has all values", few)
    check_binary(predictor.outcome.column, float(answer.values["uncoded"]))
    return answer
