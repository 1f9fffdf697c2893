"""Generalised linear models, compared with statsmodels."""

import numpy as np
import statsmodels.api as sm

from participant.analyses.regression.glm import GlmSpec
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients, p_values

FAMILIES = {
    "gaussian": sm.families.Gaussian(),
    "binomial": sm.families.Binomial(),
    "poisson": sm.families.Poisson(),
    "negative-binomial": sm.families.NegativeBinomial(alpha=0.7),
    "gamma": sm.families.Gamma(sm.families.links.Log()),
}
DECLARED = {
    "lung": ("age", 18, 100, "status", "time", "sex", (1, 2)),
    "gbsg2": ("age", 18, 90, "cens", "pnodes", "horTh", (0, 1)),
}


def spec(family: str, dataset: str) -> GlmSpec:
    age, low, high, event, amount, group, levels = DECLARED[dataset]
    outcome = event if family == "binomial" else amount
    return GlmSpec(
        dataset=dataset,
        formula=f"{outcome} ~ {age} + {group}",
        family=family,
        alpha=0.7 if family == "negative-binomial" else 0.0,
        numbers=(
            Variable(column=age, low=low, high=high),
            Variable(column=event, low=0, high=1),
            Variable(column=amount, low=0.5, high=1100),
        ),
        categories=(Category(column=group, levels=levels),),
        row_limit=1000,
        minimum_persons=1,
    )


@case(*(spec(family, dataset) for family in FAMILIES for dataset in DECLARED))
async def glm(spec: GlmSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    age, _, _, event, amount, group, levels = DECLARED[spec.dataset]
    outcome = event if spec.family == "binomial" else amount
    rows = sites.rows(spec, outcome, age, group)
    x = np.column_stack([np.ones(len(rows)), rows[age], rows[group] == levels[1]]).astype(float)
    estimated = spec.family in {"gaussian", "gamma"}
    oracle = sm.GLM(rows[outcome].to_numpy(), x, FAMILIES[spec.family]).fit(tol=1e-14, maxiter=200, use_t=estimated)
    return [
        coefficients(result.coef, oracle.params, f"coefficients, {spec.family}"),
        coefficients(result.se, oracle.bse, f"standard errors, {spec.family}"),
        p_values(result.p, oracle.pvalues, f"p-values, {spec.family}"),
        coefficients(result.aic, oracle.aic, f"AIC, {spec.family}"),
        coefficients(result.null_deviance, oracle.null_deviance, f"null deviance, {spec.family}"),
    ]
