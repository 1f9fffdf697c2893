"""Generalised linear models over secure sums, compared with statsmodels on the pooled rows."""

import numpy as np
import pytest
import statsmodels.api as sm

from participant.analyses.base.errors import AnalysisError, CollinearityError, NoRowsError, SeparationError, SpecError
from participant.analyses.regression.glm import GlmSpec, fit_glm
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.support.plain_sum import PlainSum
from tests.support.trials import gbsg2, split

NUMBERS = (
    Variable(column="age", low=18, high=90),
    Variable(column="tsize", low=0, high=150),
    Variable(column="pnodes", low=0.5, high=60),
    Variable(column="cens", low=0, high=1),
)
CATEGORIES = (Category(column="tgrade", levels=(1, 2, 3)), Category(column="horTh", levels=(0, 1)))
FAMILIES = {
    "gaussian": ("tsize", sm.families.Gaussian()),
    "binomial": ("cens", sm.families.Binomial()),
    "poisson": ("pnodes", sm.families.Poisson()),
    "negative-binomial": ("pnodes", sm.families.NegativeBinomial(alpha=0.7)),
    "gamma": ("pnodes", sm.families.Gamma(sm.families.links.Log())),
}


def spec(family: str = "binomial", formula: str = "cens ~ age", **changes) -> GlmSpec:
    alpha = 0.7 if family == "negative-binomial" else 0.0
    given = {"numbers": NUMBERS, "categories": CATEGORIES, "family": family, "alpha": alpha}
    return GlmSpec(dataset="gbsg2", formula=formula, row_limit=1000, minimum_persons=1, **given | changes)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("parts", [1, 9])
async def test_the_fit_is_that_of_statsmodels(family: str, parts: int) -> None:
    table, (outcome, oracle_family) = gbsg2(), FAMILIES[family]
    asked = spec(family, f"{outcome} ~ age + C(tgrade, ref=2) * horTh")
    result = await fit_glm(asked, PlainSum(split(table, parts, 4), quantised=True))
    one, three, hormone = table["tgrade"] == 1, table["tgrade"] == 3, table["horTh"] == 1
    x = np.column_stack([np.ones(686), table["age"], one, three, hormone, one & hormone, three & hormone]).astype(float)
    oracle = sm.GLM(table[outcome], x, oracle_family).fit(tol=1e-14, maxiter=200)
    assert result.names == (
        "1",
        "age",
        "tgrade[1]",
        "tgrade[3]",
        "horTh[1]",
        "tgrade[1]:horTh[1]",
        "tgrade[3]:horTh[1]",
    )
    np.testing.assert_allclose(result.coef, oracle.params, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(result.se, oracle.bse, rtol=1e-6)
    np.testing.assert_allclose(result.deviance, oracle.deviance, rtol=1e-8)
    np.testing.assert_allclose(result.pearson, oracle.pearson_chi2, rtol=1e-6)
    np.testing.assert_allclose([result.log_likelihood, result.aic], [oracle.llf, oracle.aic], rtol=1e-8)
    if family in {"gaussian", "gamma"}:
        least_squares = sm.GLM(table[outcome], x, oracle_family).fit(tol=1e-14, maxiter=200, use_t=True)
        np.testing.assert_allclose(result.p, least_squares.pvalues, atol=1e-6)
    else:
        np.testing.assert_allclose(result.p, oracle.pvalues, atol=1e-6)
    assert (result.rows, result.df) == (686, 679)


async def test_offset_weight_and_filter() -> None:
    table = gbsg2()
    exposure = Variable(column="age", low=18, high=90)
    asked = spec(
        "poisson",
        "pnodes ~ log(tsize)",
        numbers=(Variable(column="tsize", low=1, high=150), NUMBERS[2]),
        weight=exposure,
        filter=({"column": "age", "op": ">", "value": 50.0},),
    )
    result = await fit_glm(GlmSpec.model_validate(asked.model_dump()), PlainSum(split(table, 3, 1)))
    old = table["age"] > 50
    x = sm.add_constant(np.log(table["tsize"][old]))
    oracle = sm.GLM(table["pnodes"][old], x, sm.families.Poisson(), var_weights=table["age"][old]).fit(tol=1e-14)
    np.testing.assert_allclose(result.coef, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(result.se, oracle.bse, rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
async def test_frequency_weights_are_the_rows_that_a_row_stands_for(family: str) -> None:
    """The fit of the table written out: every number that counts rows; rows of weight 0 are not there."""
    table, (outcome, oracle_family) = gbsg2(), FAMILIES[family]
    times = np.arange(686) % 4
    weight = Variable(column="times", low=0, high=3)
    asked = spec(family, f"{outcome} ~ age", weight=weight)
    result = await fit_glm(asked, PlainSum(split(table | {"times": times.astype(float)}, 3, 1), quantised=True))
    written = {name: np.repeat(column, times) for name, column in table.items()}
    oracle = sm.GLM(written[outcome], sm.add_constant(written["age"]), oracle_family).fit(tol=1e-14, maxiter=200)
    np.testing.assert_allclose(result.coef, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(result.se, oracle.bse, rtol=1e-6)
    mine = (result.log_likelihood, result.aic, result.bic, result.df, result.dispersion, result.pearson)
    theirs = (oracle.llf, oracle.aic, oracle.bic_llf, oracle.df_resid, oracle.scale, oracle.pearson_chi2)
    np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    assert result.rows == np.count_nonzero(times)


async def test_a_row_of_weight_0_is_no_observation_of_a_weighted_mean() -> None:
    table = {"y": np.array([1.0, 2, 4, 7, 50]), "x": np.array([1.0, 2, 3, 5, 90]), "w": np.array([1.0, 2, 1, 3, 0])}
    asked = spec(
        "gaussian",
        "y ~ x",
        numbers=(Variable(column="y", low=0, high=99), Variable(column="x", low=0, high=99)),
        weight=Variable(column="w", low=0, high=9),
        weights_are="precision",
    )
    result = await fit_glm(asked, PlainSum({"all": table}))
    oracle = sm.WLS(table["y"][:4], sm.add_constant(table["x"][:4]), table["w"][:4]).fit()
    np.testing.assert_allclose(result.se, oracle.bse, rtol=1e-7)
    assert (result.rows, result.df) == (4, 2)


async def test_a_site_that_is_lost_takes_its_rows_out() -> None:
    sites = split(gbsg2(), 5, 2)
    result = await fit_glm(spec(), PlainSum(sites, lost=[set(), set(), {"site-3"}]))
    left = {name: np.concatenate([site[name] for key, site in sites.items() if key != "site-3"]) for name in gbsg2()}
    oracle = sm.GLM(left["cens"], sm.add_constant(left["age"]), sm.families.Binomial()).fit(tol=1e-14)
    np.testing.assert_allclose(result.coef, oracle.params, rtol=1e-6)
    assert "site-3" not in result.sites


@pytest.mark.parametrize(
    ("changes", "error", "complaint"),
    [
        ({"formula": "cens ~ age + I(age >= 18)"}, CollinearityError, "age >= 18: the same value in all rows"),
        ({"formula": "cens ~ I(cens >= 1)"}, SeparationError, "separate"),
        ({"formula": "cens ~ ward"}, SpecError, "the variable ward is not declared"),
        ({"formula": "tgrade ~ age"}, SpecError, "the outcome must be numeric"),
        ({"formula": "tsize ~ age"}, SpecError, "does not suit the binomial family"),
        ({"offset": {"column": "age", "low": 0, "high": 90, "log": True}}, SpecError, "needs a declared range above 0"),
        ({"filter": ({"column": "age", "op": ">", "value": 200.0},)}, NoRowsError, "no row"),
    ],
)
async def test_no_fit(changes: dict, error: type, complaint: str) -> None:
    given = spec().model_dump() | changes
    with pytest.raises(error, match=complaint) as caught:
        await fit_glm(GlmSpec.model_validate(given), PlainSum(split(gbsg2(), 3, 0)))
    assert isinstance(caught.value, (AnalysisError, SpecError))
