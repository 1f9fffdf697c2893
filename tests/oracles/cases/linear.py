"""Correlations and linear models, compared with scipy and statsmodels."""

from itertools import combinations

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats
from statsmodels.formula.api import ols, wls
from statsmodels.stats.outliers_influence import variance_inflation_factor

from participant.analyses.hypothesis.ancova import AncovaSpec
from participant.analyses.hypothesis.correlation import CorrelationSpec
from participant.analyses.regression.linear import LinearSpec
from participant.statistics.models.basis import Basis, NaturalSplines, Splines
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients, p_values, within

LUNG = {"dataset": "lung", "row_limit": 1000, "minimum_persons": 1}
DIABETES = {"dataset": "diabetes", "row_limit": 1000, "minimum_persons": 1}
GBSG2 = {"dataset": "gbsg2", "row_limit": 1000, "minimum_persons": 1}
AGE = Variable(column="age", low=18, high=100)
LOSS = Variable(column="wt.loss", low=-50, high=100)
MEALS = Variable(column="meal.cal", low=0, high=5000)
SCALED = tuple(Variable(column=name, low=-1, high=1) for name in ("age", "bmi", "bp", "s1", "s2", "s5"))
TARGET = Variable(column="target", low=0, high=400)
SIZE = Variable(column="tsize", low=0, high=150)
DAYS = Variable(column="time", low=1, high=1100)
NODES = Variable(column="pnodes", low=0, high=60)
YEARS = Variable(column="age", low=18, high=90)


@case(CorrelationSpec(variables=(AGE, LOSS, MEALS), **LUNG), CorrelationSpec(variables=(*SCALED, TARGET), **DIABETES))
async def correlation(spec: CorrelationSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, *(one.column for one in spec.variables))
    oracle = [stats.pearsonr(rows[x], rows[y]) for x, y in combinations(rows.columns, 2)]
    bounds = [bound for one in oracle for bound in one.confidence_interval()]
    return [
        coefficients([pair.r for pair in result.pairs], [one.statistic for one in oracle]),
        coefficients([bound for pair in result.pairs for bound in (pair.lower, pair.upper)], bounds, "intervals"),
        p_values([pair.p for pair in result.pairs], [one.pvalue for one in oracle]),
    ]


@case(
    LinearSpec(
        formula="wt.loss ~ age + C(sex) + ph.karno + log(time)",
        numbers=(
            LOSS,
            AGE,
            Variable(column="ph.karno", low=0, high=100),
            Variable(column="time", low=1, high=1100),
        ),
        categories=(Category(column="sex", levels=(1, 2)),),
        **LUNG,
    ),
    LinearSpec(formula="target ~ age + bmi + bp + s1 + s2 + s5", numbers=(*SCALED, TARGET), **DIABETES),
    LinearSpec(
        formula="tsize ~ age + tgrade * horTh",
        numbers=(SIZE, YEARS),
        categories=(Category(column="tgrade", levels=(1, 2, 3)), Category(column="horTh", levels=(0, 1))),
        weight=Variable(column="pnodes", low=0, high=60),
        residuals=False,
        **GBSG2,
    ),
)
async def linear(spec: LinearSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    outcome, design = spec.model()
    weight = (spec.weight.column,) if spec.weight else ()
    rows = sites.rows(spec, outcome.column, *design.columns, *weight)
    rows.columns = [name.replace(".", "_") for name in rows.columns]
    formula = spec.formula.replace(".", "_").replace("log", "np.log")
    for category in spec.categories:
        formula = formula.replace(f"C({category.column})", category.column).replace(
            category.column, f"C({category.column})"
        )
    oracle = wls(formula, rows, weights=rows[weight[0]]).fit() if weight else ols(formula, rows).fit()
    # statsmodels lists the terms of categories first
    order = [int(np.argmin(np.abs(oracle.params.to_numpy() - one) / (1e-9 + abs(one)))) for one in result.coef]
    names = oracle.params.index[order]
    agreements = [
        coefficients(result.coef, oracle.params[names]),
        coefficients(result.se, oracle.bse[names], "standard errors"),
        coefficients(np.column_stack([result.lower, result.upper]), oracle.conf_int().loc[names], "intervals"),
        coefficients(
            [result.r_squared, result.adjusted_r_squared, result.f, result.sigma],
            [oracle.rsquared, oracle.rsquared_adj, oracle.fvalue, np.sqrt(oracle.scale)],
            "fit",
        ),
        p_values([*result.p, result.f_p], [*oracle.pvalues[names], oracle.f_pvalue]),
    ]
    if weight:
        terms = oracle.wald_test_terms(scalar=True).table.drop("Intercept")
        theirs = {name.replace("C(", "").replace(")", ""): row for name, row in terms.iterrows()}
        ours = {term.name: term for term in result.terms}
        assert set(ours) == set(theirs)
        agreements.append(
            coefficients([ours[name].f for name in ours], [theirs[name]["statistic"] for name in ours], "F of terms")
        )
        return agreements
    x = oracle.model.exog
    inflation = [variance_inflation_factor(x, order[i]) for i in range(1, len(order))]
    quantiles = np.quantile(oracle.resid, [one.share for one in result.residuals], method="inverted_cdf")
    return [
        *agreements,
        coefficients(
            [result.log_likelihood, result.aic, result.bic], [oracle.llf, oracle.aic, oracle.bic], "likelihood"
        ),
        coefficients(result.vif[1:], inflation, "VIF"),
        within(
            result.sigma / 100,
            "a grid of a hundredth of the residual standard deviation",
            [one.value for one in result.residuals],
            quantiles,
            "quantiles of residuals",
        ),
    ]


@case(
    AncovaSpec(outcome=LOSS, by=Category(column="ph.ecog", levels=(0, 1, 2)), covariates=(AGE,), **LUNG),
    AncovaSpec(
        outcome=SIZE,
        by=Category(column="tgrade", levels=(1, 2, 3)),
        covariates=(YEARS, Variable(column="pnodes", low=0, high=60)),
        **GBSG2,
    ),
)
async def ancova(spec: AncovaSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, spec.outcome.column, spec.by.column, *(one.column for one in spec.covariates))
    names = [f"x{i}" for i in range(len(spec.covariates))]
    rows.columns = ["y", "g", *names]
    rows = rows[rows["g"].isin(spec.by.levels)]
    fit = ols(f"y ~ C(g) + {' + '.join(names)}", rows).fit()
    products = ols(f"y ~ C(g) * ({' + '.join(names)})", rows).fit()
    table, slopes = sm.stats.anova_lm(fit, typ=2), sm.stats.anova_lm(fit, products)
    at = pd.DataFrame({"g": spec.by.levels} | {name: rows[name].mean() for name in names})
    means = fit.get_prediction(at).summary_frame()
    assert result.slopes is not None
    return [
        coefficients([one.sum_of_squares for one in result.sources], table["sum_sq"], "sums of squares"),
        coefficients([one.f for one in result.sources[:-1]], table["F"].dropna(), "F"),
        coefficients(result.slopes.f, slopes["F"][1], "F of equal slopes"),
        coefficients(
            [[one.mean, one.se, one.lower, one.upper] for one in result.means],
            means[["mean", "mean_se", "mean_ci_lower", "mean_ci_upper"]],
            "adjusted means",
        ),
        p_values(
            [*(one.p for one in result.sources[:-1]), result.slopes.p], [*table["PR(>F)"].dropna(), slopes["Pr(>F)"][1]]
        ),
    ]


@case(
    LinearSpec(
        formula="meal.cal ~ bs(age, knots=[55, 65]) + ns(time, knots=[200, 500])", numbers=(MEALS, AGE, DAYS), **LUNG
    ),
    LinearSpec(
        formula="tsize ~ bs(age, knots=[45, 60], degree=2) + ns(pnodes, knots=[3, 10])",
        numbers=(SIZE, YEARS, NODES),
        **GBSG2,
    ),
    LinearSpec(
        formula="target ~ bs(bmi, knots=[0]) + ns(s5, knots=[-0.05, 0.05])", numbers=(*SCALED, TARGET), **DIABETES
    ),
)
async def splines(spec: LinearSpec, sites: Sites) -> list[Agreement]:
    """Natural splines have other coordinates in patsy, for the same curves, so only their fit is compared."""
    result = await spec.analyse(sites)
    outcome, design = spec.model()
    rows = sites.rows(spec, outcome.column, *design.columns)
    rows.columns = [name.replace(".", "_") for name in rows.columns]
    bumps, smooth = (term[0] for term in design.terms[1:])
    assert isinstance(bumps, Basis)
    assert isinstance(smooth, Basis)
    assert isinstance(bumps.function, Splines)
    assert isinstance(smooth.function, NaturalSplines)
    formula = (
        f"{outcome.column.replace('.', '_')} ~ bs({bumps.column}, knots={list(bumps.function.knots)}, "
        f"degree={bumps.function.degree}, lower_bound={bumps.low}, upper_bound={bumps.high}) + "
        f"cr({smooth.column}, knots={list(smooth.function.knots)}, lower_bound={smooth.low}, "
        f"upper_bound={smooth.high}, constraints='center')"
    )
    oracle = ols(formula, rows).fit()
    which = slice(1, 1 + len(bumps.names))
    return [
        coefficients(result.coef[which], oracle.params.iloc[which], "coefficients of B-splines"),
        coefficients(result.se[which], oracle.bse.iloc[which], "their standard errors"),
        coefficients(
            (result.r_squared, result.f, result.sigma**2), (oracle.rsquared, oracle.fvalue, oracle.scale), "fit"
        ),
        p_values(result.f_p, oracle.f_pvalue),
    ]
