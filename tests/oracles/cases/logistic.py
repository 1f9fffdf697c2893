"""Logistic and negative binomial regression, compared with statsmodels."""

import numpy as np
import statsmodels.api as sm

from participant.analyses.regression.glm import Offset
from participant.analyses.regression.hosmer_lemeshow import GRID
from participant.analyses.regression.logistic import LogisticSpec
from participant.analyses.regression.negative_binomial import NegativeBinomialSpec
from participant.statistics.language.layout import Array
from participant.statistics.models.variables import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients, p_values

PLAIN = {"row_limit": 7000, "minimum_persons": 1}
LUNG = LogisticSpec(
    dataset="lung",
    formula="status ~ age + sex + ph.ecog",
    numbers=(
        Variable(column="status", low=0, high=1),
        Variable(column="age", low=18, high=100),
        Variable(column="sex", low=1, high=2),
        Variable(column="ph.ecog", low=0, high=4),
    ),
    groups=6,
    **PLAIN,
)
CANCER = LogisticSpec(
    dataset="breast-cancer",
    formula="malignant ~ mean_radius + mean_texture + mean_smoothness",
    numbers=(
        Variable(column="malignant", low=0, high=1),
        Variable(column="mean_radius", low=0, high=40),
        Variable(column="mean_texture", low=0, high=50),
        Variable(column="mean_smoothness", low=0, high=1),
    ),
    **PLAIN,
)
VISITS = (
    NegativeBinomialSpec(
        dataset="gbsg2",
        formula="pnodes ~ age + tsize",
        numbers=(
            Variable(column="pnodes", low=0, high=60),
            Variable(column="age", low=18, high=90),
            Variable(column="tsize", low=0, high=150),
        ),
        offset=Offset(column="time", low=1, high=3000, log=True),
        **PLAIN,
    ),
    NegativeBinomialSpec(
        dataset="rossi",
        formula="prio ~ age + wexp",
        numbers=(
            Variable(column="prio", low=0, high=20),
            Variable(column="age", low=15, high=60),
            Variable(column="wexp", low=0, high=1),
        ),
        **PLAIN,
    ),
)


@case(LUNG, CANCER)
async def logistic(spec: LogisticSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    outcome, *covariates = (one.column for one in spec.numbers)
    rows = sites.rows(spec, outcome, *covariates)
    oracle = sm.Logit(rows[outcome].to_numpy(), sm.add_constant(rows[covariates].to_numpy())).fit(
        disp=0, method="newton", tol=1e-12, maxiter=100, warn_convergence=False
    )
    test = _hosmer_lemeshow(oracle.predict(), rows[outcome].to_numpy(), spec.groups)
    return [
        coefficients(result.coef, oracle.params),
        coefficients(result.se, oracle.bse, "standard errors"),
        coefficients(np.column_stack([result.lower, result.upper]), np.exp(oracle.conf_int()), "intervals"),
        coefficients(
            [result.log_likelihood, result.null_log_likelihood, result.mcfadden, result.likelihood_ratio, result.aic],
            [oracle.llf, oracle.llnull, oracle.prsquared, oracle.llr, oracle.aic],
            "fit",
        ),
        p_values([*result.p, result.likelihood_ratio_p], [*oracle.pvalues, oracle.llr_pvalue]),
        coefficients(result.hosmer_lemeshow, test, "Hosmer-Lemeshow"),
    ]


def _hosmer_lemeshow(risk: Array, event: Array, groups: int) -> float:
    shares = np.arange(1, groups) / groups
    edges = np.ceil(np.quantile(risk, shares, method="inverted_cdf") / GRID) * GRID
    group = np.searchsorted(np.unique(edges), risk)
    total = 0.0
    for one in np.unique(group):
        n, o, e = (group == one).sum(), event[group == one].sum(), risk[group == one].sum()
        total += (o - e) ** 2 / e + (o - e) ** 2 / (n - e)
    return total


@case(*VISITS)
async def negative_binomial(spec: NegativeBinomialSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    outcome, *covariates = (one.column for one in spec.numbers)
    beside = [spec.offset.column] if spec.offset else []
    rows = sites.rows(spec, outcome, *covariates, *beside)
    x = sm.add_constant(rows[covariates].to_numpy())
    offset = np.log(rows[beside[0]].to_numpy()) if beside else None
    y = rows[outcome].to_numpy()
    poisson = sm.Poisson(y, x, offset=offset).fit(disp=0, method="newton", maxiter=100)
    oracle = sm.NegativeBinomial(y, x, offset=offset).fit(
        start_params=[*poisson.params, result.alpha], disp=0, method="newton", maxiter=100, warn_convergence=False
    )
    known = sm.GLM(y, x, sm.families.NegativeBinomial(alpha=oracle.params[-1]), offset=offset).fit(tol=1e-14)
    return [
        coefficients([*result.coef, result.alpha], oracle.params),
        coefficients(result.alpha_se, oracle.bse[-1], "standard error of alpha"),
        coefficients(result.se, known.bse, "standard errors"),
        coefficients([result.log_likelihood, result.aic], [oracle.llf, oracle.aic], "fit"),
        coefficients(result.poisson_ratio, 2 * (oracle.llf - poisson.llf), "against Poisson"),
        p_values(result.p, known.pvalues),
    ]
