"""Designs that are standardised inside: the same covariates and coefficients, from sums that lose no digits."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.stats.outliers_influence import variance_inflation_factor

from participant.analyses.base.standardised import Standardised
from participant.analyses.catalogue import parse_spec
from participant.statistics.language.statistic import Columns
from participant.statistics.models.design import Category
from participant.statistics.models.formula import parse_formula
from participant.statistics.models.variables import Variable
from tests.support.plain_sum import PlainSum
from tests.support.trials import split

RNG = np.random.default_rng(5)  # noqa: TID251 - test data
ROWS = 60
YEARS = 1990 + np.arange(ROWS) % 31.0
AGES = 30 + np.arange(ROWS) % 60.0
TABLE: Columns = {
    "x": 1e5 + np.arange(ROWS) % 10,
    "year": YEARS,
    "age": AGES,
    "z": RNG.normal(0, 1, ROWS),
    "g": np.arange(ROWS) % 3.0,
    "y": 2 * (np.arange(ROWS) % 10) + RNG.normal(0, 1, ROWS),
    "trend": (YEARS - 2000) ** 2 / 20 + RNG.normal(0, 1, ROWS),
    "cost": 2e5 + 3e4 * AGES + 1e5 * np.sin(AGES),
    "sick": (RNG.random(ROWS) < 0.5) * 1.0,
}
DECLARED = {
    "x": (1e5, 1e5 + 9),
    "year": (1990, 2020),
    "age": (30, 89),
    "z": (-5, 5),
    "y": (-10, 30),
    "trend": (-10, 60),
    "cost": (0, 1e7),
    "sick": (0, 1),
}
NUMBERS = [{"column": name, "low": low, "high": high} for name, (low, high) in DECLARED.items()]
MODEL = {
    "dataset": "d",
    "row_limit": 100,
    "minimum_persons": 1,
    "numbers": NUMBERS,
    "categories": [{"column": "g", "levels": [0, 1, 2]}],
}


async def fit(analysis: str, formula: str, **more: Any) -> Any:
    document = MODEL | {"analysis": analysis, "formula": formula} | more
    return await parse_spec(document).analyse(PlainSum(split(TABLE, 3, 0), quantised=True))


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x * z + I(x ** 2) + C(g)",
        "y ~ x * z * year",
        "y ~ 0 + x + z",
        "y ~ x:z + z",
        "y ~ C(g) / x",
        "y ~ log(x) + I(z >= 0) + x:C(g)",
        "y ~ x + center(x, 100004):z",
    ],
)
def test_the_covariates_come_back(formula: str) -> None:
    """z* = z B, row by row, and products without their parts are not centred."""
    declared: dict[str, Variable | Category] = {
        name: Variable(column=name, low=low, high=high) for name, (low, high) in DECLARED.items()
    }
    design = parse_formula(formula, declared | {"g": Category(column="g", levels=(0, 1, 2))}).design
    standard = Standardised.of(design)
    z, inside = design.coded(TABLE).z, standard.design.coded(TABLE).z
    np.testing.assert_allclose(z.T @ standard.back, inside.T, atol=1e-5)
    assert standard.design.names == design.names
    assert np.abs(standard.design.reach).max() <= 1 + 1e-9 or "center" in formula


@pytest.mark.parametrize(
    ("formula", "pooled"),
    [
        ("y ~ x", "y ~ I(x - 1e5)"),
        ("trend ~ year + I(year ** 2)", "trend ~ I(year - 2005) + I((year - 2005) ** 2)"),
        ("cost ~ age", "cost ~ age"),
        ("y ~ x * z", "y ~ I(x - 1e5) * z"),
    ],
)
async def test_large_numbers_with_much_in_common(formula: str, pooled: str) -> None:
    """The slope of the highest order, R-squared and residual spread do not depend on where the covariates begin."""
    result = await fit("linear", formula)
    oracle = smf.ols(pooled, pd.DataFrame(TABLE)).fit()
    assert result.coef[-1] == pytest.approx(oracle.params.iloc[-1], rel=1e-7)
    assert result.se[-1] == pytest.approx(oracle.bse.iloc[-1], rel=1e-7)
    assert result.r_squared == pytest.approx(oracle.rsquared, rel=1e-7)
    assert result.sigma**2 == pytest.approx(oracle.scale, rel=1e-7)
    assert [result.log_likelihood, result.bic] == pytest.approx([oracle.llf, oracle.bic], rel=1e-9)
    assert len(result.residuals) == 5


async def test_the_cost_by_age_as_it_is_asked_for() -> None:
    age = np.arange(30.0, 90)
    table = {"age": age, "cost": 2e5 + 3e4 * age + 1e5 * np.sin(age)}
    spec = parse_spec(MODEL | {"analysis": "linear", "formula": "cost ~ age", "categories": []})
    result: Any = await spec.analyse(PlainSum({"all": table}, quantised=True))
    np.testing.assert_allclose(result.coef, [195604.116, 30062.963], atol=5e-4)


async def test_variance_inflation_of_products() -> None:
    result = await fit("linear", "y ~ age * z")
    x = np.column_stack([np.ones(ROWS), AGES, TABLE["z"], AGES * TABLE["z"]])
    np.testing.assert_allclose(result.vif[1:], [variance_inflation_factor(x, i) for i in (1, 2, 3)], rtol=1e-6)


async def test_analysis_of_covariance_with_large_numbers() -> None:
    document = {name: MODEL[name] for name in ("dataset", "row_limit", "minimum_persons")} | {
        "analysis": "ancova",
        "outcome": {"column": "cost", "low": 0, "high": 1e7},
        "by": {"column": "g", "levels": [0, 1, 2]},
        "covariates": [{"column": "x", "low": 1e5, "high": 1e5 + 9}],
    }
    result: Any = await parse_spec(document).analyse(PlainSum(split(TABLE, 3, 0), quantised=True))
    oracle = smf.ols("cost ~ C(g) + I(x - 1e5)", pd.DataFrame(TABLE)).fit()
    at = pd.DataFrame({"g": [0.0, 1.0, 2.0], "x": TABLE["x"].mean()})
    expected = oracle.get_prediction(at).summary_frame()
    np.testing.assert_allclose([mean.mean for mean in result.means], expected["mean"], rtol=1e-8)
    np.testing.assert_allclose([mean.se for mean in result.means], expected["mean_se"], rtol=1e-6)
    assert dict(result.at)["x"] == pytest.approx(TABLE["x"].mean(), rel=1e-12)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
async def test_other_families(family: str) -> None:
    offset = {"offset": {"column": "z", "low": -5, "high": 5}} if family == "poisson" else {}
    result = await fit("glm", "sick ~ x + C(g)", family=family, **offset)
    frame = pd.DataFrame(TABLE)
    model = smf.logit if family == "binomial" else smf.poisson
    shift = {"offset": frame["z"]} if offset else {}
    oracle = model("sick ~ C(g) + I(x - 1e5)", frame, **shift).fit(disp=False, tol=1e-12)
    slope = result.names.index("x")
    assert result.coef[slope] == pytest.approx(oracle.params.iloc[-1], rel=1e-6)
    assert result.se[slope] == pytest.approx(oracle.bse.iloc[-1], rel=1e-6)
    assert result.log_likelihood == pytest.approx(oracle.llf, rel=1e-9)


async def test_a_gaussian_offset_is_on_the_outcomes_scale() -> None:
    result = await fit("glm", "cost ~ age", offset={"column": "x", "low": 1e5, "high": 1e5 + 9})
    oracle = smf.ols("I(cost - x) ~ age", pd.DataFrame(TABLE)).fit()
    np.testing.assert_allclose(result.coef, oracle.params, rtol=1e-7)


async def test_ordinal_support_vectors_and_ridge() -> None:
    ordinal = await fit("ordinal", "g ~ x + z")
    moved = np.column_stack([TABLE["x"] - 1e5, TABLE["z"]])
    oracle = OrderedModel(TABLE["g"], moved, distr="logit").fit(method="newton", disp=False, maxiter=200)
    np.testing.assert_allclose(ordinal.coef, oracle.params[:2], rtol=1e-5)
    np.testing.assert_allclose(ordinal.se, oracle.bse[:2], rtol=1e-4)
    first = oracle.model.transform_threshold_params(oracle.params)[1]
    assert ordinal.cuts[0] == pytest.approx(first + ordinal.coef[0] * 1e5, rel=1e-5)
    machine = await fit("linear-svm", "sick ~ age + z", cost=0.5)
    covariates = np.column_stack([AGES, TABLE["z"]])
    plain = LinearSVC(C=0.5, intercept_scaling=1e4, tol=1e-12, max_iter=1_000_000).fit(covariates, TABLE["sick"])
    np.testing.assert_allclose(machine.coef[1:], plain.coef_[0], rtol=1e-3)
    ridge = await fit("ridge", "y ~ x + z", penalties=[3.0], standardise=False)
    pooled = Ridge(alpha=3.0).fit(moved, TABLE["y"])
    np.testing.assert_allclose(ridge.coef, pooled.coef_, rtol=1e-8)
