"""Ordinal logistic regression, compared with statsmodels."""

import numpy as np
from statsmodels.miscmodels.ordinal_model import OrderedModel

from participant.analyses.regression.ordinal import OrdinalSpec
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients, p_values, within

DIFFERENCES = 1e-5  # statsmodels differentiates the likelihood numerically

COVARIATES = {
    "election": ("PID", (0, 1, 2, 3, 4, 5, 6), (("educ", 1, 7), ("age", 18, 95), ("selfLR", 1, 7))),
    "gbsg2": ("tgrade", (1, 2, 3), (("age", 18, 90), ("tsize", 0, 150), ("pnodes", 0, 60))),
    "lung": ("ph.ecog", (0, 1, 2), (("age", 18, 100), ("sex", 1, 2))),
}


def spec(dataset: str) -> OrdinalSpec:
    outcome, levels, covariates = COVARIATES[dataset]
    return OrdinalSpec(
        dataset=dataset,
        formula=f"C({outcome}) ~ {' + '.join(name for name, _, _ in covariates)}",
        numbers=tuple(Variable(column=name, low=low, high=high) for name, low, high in covariates),
        categories=(Category(column=outcome, levels=levels),),
        row_limit=1000,
        minimum_persons=1,
    )


@case(*map(spec, COVARIATES))
async def ordinal(spec: OrdinalSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    outcome, levels, covariates = COVARIATES[spec.dataset]
    names = [name for name, _, _ in covariates]
    rows = sites.rows(spec, outcome, *names)
    rows = rows[rows[outcome].isin(levels)]
    model = OrderedModel(rows[outcome].astype(int), rows[names], distr="logit")
    rough = model.fit(method="bfgs", gtol=1e-6, disp=False)
    oracle = model.fit(start_params=rough.params, method="newton", maxiter=3, disp=False, warn_convergence=False)
    count = len(names)
    cuts = model.transform_threshold_params(np.asarray(oracle.params)[count:])[1:-1]
    return [
        coefficients(result.coef, oracle.params[:count]),
        coefficients(result.cuts, cuts, "cuts"),
        within(DIFFERENCES, "numerical", result.se, oracle.bse[:count], "standard errors", relative=True),
        p_values(result.p, oracle.pvalues[:count]),
        coefficients(result.log_likelihood, oracle.llf, "log-likelihood"),
        coefficients(result.null_log_likelihood, oracle.llnull, "log-likelihood without covariates"),
    ]
