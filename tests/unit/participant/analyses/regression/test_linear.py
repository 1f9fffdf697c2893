"""Correlation, linear regression and analysis of covariance on unusual data."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols, wls

from coordinator.report.plots import plot
from participant.analyses.base.errors import CollinearityError, NoRowsError, PrecisionError, SpecError
from participant.analyses.catalogue import parse_spec
from participant.analyses.hypothesis.ancova import AncovaSpec
from participant.analyses.hypothesis.correlation import CorrelationSpec
from participant.analyses.regression.glm import GlmSpec
from participant.analyses.regression.linear import LinearSpec
from participant.statistics.language.statistic import Columns
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.support.plain_sum import PlainSum

X, Y, Z = (Variable(column=name, low=0, high=100) for name in "xyz")
G = Category(column="g", levels=(1, 2, 3))
PLAIN = {"dataset": "d", "row_limit": 1000, "minimum_persons": 1}


def table(seed: int = 1, rows: int = 90) -> Columns:
    rng = np.random.default_rng(seed)  # noqa: TID251 - test data
    g = np.sort(rng.integers(1, 4, rows)).astype(float)
    x, z = rng.uniform(10, 60, rows), rng.uniform(0, 90, rows)
    return {"g": g, "x": x, "z": z, "y": np.clip(10 + 0.5 * x + 4 * g + rng.normal(0, 5, rows), 0, 100)}


def parted(rows: Columns, *ends: int) -> dict[str, Columns]:
    places = [0, *ends, len(rows["y"])]
    return {
        f"site-{i}": {name: column[a:b] for name, column in rows.items()} for i, (a, b) in enumerate(pairwise(places))
    }


def linear(formula: str = "y ~ x + C(g)", **changes: object) -> LinearSpec:
    return LinearSpec.model_validate({"formula": formula, "numbers": (X, Y, Z), "categories": (G,)} | PLAIN | changes)


async def test_a_level_that_only_one_site_has() -> None:
    rows = table()
    first = int((rows["g"] == 1).sum())
    result = await linear().analyse(PlainSum(parted(rows, first, first + 20), quantised=True))
    oracle = ols("y ~ x + C(g)", pd.DataFrame(rows)).fit()
    np.testing.assert_allclose(sorted(result.coef), sorted(oracle.params), rtol=1e-9)
    assert result.f_p == pytest.approx(oracle.f_pvalue, rel=1e-7)
    assert [(term.name, term.df) for term in result.terms] == [("x", 1), ("g", 2)]
    assert "g: F " in result.summary()


@pytest.mark.parametrize(
    ("formula", "changes", "error", "complaint"),
    [
        ("y ~ x + I(x ** 1.0) + z", {}, SpecError, "exponent"),
        ("y ~ x + z", {"z": "x"}, CollinearityError, "linear combination"),
        ("y ~ x", {"y": "constant"}, CollinearityError, "y: constant"),
        ("y ~ x", {"y": "zero"}, CollinearityError, "y: constant"),
        ("y ~ x", {"y": "x"}, CollinearityError, "determined by the covariates without error"),
        ("y ~ x", {"x": "constant"}, CollinearityError, "x: the same value in all rows"),
        ("y ~ x", {"x": "zero"}, CollinearityError, "x: the same value in all rows"),
    ],
)
async def test_no_fit(formula: str, changes: dict[str, str], error: type, complaint: str) -> None:
    rows = table()
    odd = {"constant": np.full(90, 42.0), "zero": np.zeros(90), "x": rows["x"]}
    changed = rows | {name: odd[what] for name, what in changes.items()}
    with pytest.raises(error, match=complaint):
        await linear(formula).analyse(PlainSum(parted(changed, 30), quantised=True))


async def test_too_few_rows() -> None:
    with pytest.raises((NoRowsError, CollinearityError)):
        await linear().analyse(PlainSum(parted(table(rows=4))))


async def test_columns_that_nearly_repeat_each_other_are_said() -> None:
    rows = table()
    rng = np.random.default_rng(3)  # noqa: TID251 - test data
    near = rows | {"z": np.clip(rows["x"] + rng.normal(0, 0.5, 90), 0, 100)}
    result = await linear("y ~ x + z").analyse(PlainSum(parted(near, 50)))
    assert any(text.startswith("collinear: the others explain most of x (") for text in result.warnings)


async def test_without_an_intercept_squares_are_about_zero() -> None:
    rows = table()
    result = await linear("y ~ x + z - 1", residuals=False).analyse(PlainSum(parted(rows, 50)))
    oracle = ols("y ~ x + z - 1", pd.DataFrame(rows)).fit()
    np.testing.assert_allclose(
        [result.r_squared, result.adjusted_r_squared, result.f], [oracle.rsquared, oracle.rsquared_adj, oracle.fvalue]
    )
    assert np.isnan(result.vif).all()
    assert any(text.startswith("without an intercept") for text in result.warnings)
    assert "nan" not in result.summary()


async def test_only_an_intercept() -> None:
    rows = table()
    result = await linear("y ~ 1", residuals=False).analyse(PlainSum(parted(rows, 50)))
    assert (result.f, result.f_p, result.r_squared) == (None, None, 0.0)
    assert result.coef[0] == pytest.approx(rows["y"].mean())


async def test_a_residual_far_out_and_what_a_floor_hides() -> None:
    rows = table(rows=90)
    rows["y"] = 10 + 0.1 * rows["x"] + np.where(np.arange(90) % 2, 0.1, -0.1)
    rows["y"][7] = 100.0
    few = parted(rows, *range(15, 90, 15))
    result = await linear("y ~ x").analyse(PlainSum(few))
    assert result.beyond == 1
    assert "1 residuals exceed 8 standard deviations" in result.warnings
    floored = await linear("y ~ x", minimum_persons=5).analyse(PlainSum(few))
    assert floored.beyond == 0
    assert any("75 of 90 persons are in these sums" in text for text in floored.warnings)


@pytest.mark.parametrize("round_", range(5))
async def test_a_site_that_is_lost_takes_its_rows_out_of_everything(round_: int) -> None:
    rows = table()
    given = PlainSum(parted(rows, 30, 60), lost=[set()] * round_ + [{"site-1"}])
    result = await linear("y ~ x + z").analyse(given)
    assert "site-1" not in given.tables
    left = {name: np.delete(column, np.s_[30:60]) for name, column in rows.items()}
    oracle = ols("y ~ x + z", pd.DataFrame(left)).fit()
    np.testing.assert_allclose([result.r_squared, result.rows], [oracle.rsquared, 60])
    median = np.quantile(oracle.resid, 0.5, method="inverted_cdf")
    assert 0 <= result.residuals[2].value - median <= result.sigma / 100


async def test_weights_say_what_they_are() -> None:
    rows = table() | {"w": np.tile([1.0, 2.0, 3.0], 30)}
    common = {"formula": "y ~ x", "numbers": (X, Y), "weight": Variable(column="w", low=0, high=3)} | PLAIN
    frequency = await GlmSpec(**common).analyse(PlainSum({"all": rows}))
    precision = await GlmSpec(weights_are="precision", **common).analyse(PlainSum({"all": rows}))
    repeated = pd.DataFrame({name: np.repeat(column, rows["w"].astype(int)) for name, column in rows.items()})
    np.testing.assert_allclose(frequency.se, ols("y ~ x", repeated).fit().bse)
    assert (frequency.df, precision.df) == (178, 88)
    np.testing.assert_allclose(precision.coef, frequency.coef)
    light = rows | {"w": rows["w"] / 1000}
    assert (await GlmSpec(weights_are="precision", **common).analyse(PlainSum({"all": light}))).df == 88


async def test_rows_of_weight_0_are_in_neither_the_fit_nor_its_residuals() -> None:
    rows = table() | {"w": np.tile([0.0, 2.0, 3.0], 30)}
    result = await linear("y ~ x", weight=Variable(column="w", low=0, high=3)).analyse(PlainSum(parted(rows, 40)))
    some = {name: column[rows["w"] > 0] for name, column in rows.items()}
    oracle = wls("y ~ x", pd.DataFrame(some), weights=some["w"]).fit()
    assert (result.rows, result.df, result.warnings) == (60, oracle.df_resid, ())
    np.testing.assert_allclose(
        [result.r_squared, result.adjusted_r_squared, result.f, result.sigma**2],
        [oracle.rsquared, oracle.rsquared_adj, oracle.fvalue, oracle.scale],
        rtol=1e-8,
    )


def ancova(**changes: object) -> AncovaSpec:
    return AncovaSpec.model_validate({"outcome": Y, "by": G, "covariates": (X,)} | PLAIN | changes)


async def test_slopes_that_differ_are_said() -> None:
    rows = table()
    steep = rows | {"y": np.clip(rows["y"] + np.where(rows["g"] == 2, 0.4, 0) * rows["x"], 0, 100)}
    result = await ancova().analyse(PlainSum(parted(steep, 40)))
    assert result.slopes is not None
    assert any(text.startswith("the slopes differ between the groups") for text in result.warnings)


async def test_a_group_without_a_slope_of_its_own_and_codes_that_are_no_group() -> None:
    rows = table()
    flat = rows | {"x": np.where(rows["g"] == 2, 30.0, rows["x"]), "g": np.where(np.arange(90) < 5, 9.0, rows["g"])}
    result = await ancova().analyse(PlainSum(parted(flat, 40)))
    kept = pd.DataFrame(flat)[flat["g"] != 9]
    oracle = ols("y ~ C(g) + x", kept).fit()
    assert result.slopes is None
    assert "equal slopes are not tested: some group does not determine a slope of its own" in result.warnings
    assert result.rows == 85
    assert result.coefficients["x"] == pytest.approx(oracle.params["x"])
    with pytest.raises(SpecError, match="compares at most 16 groups"):
        parse_spec(ancova().model_dump(mode="json") | {"by": {"column": "g", "levels": list(range(17))}})


@pytest.mark.parametrize("round_", range(4))
async def test_both_fits_are_over_the_same_sites(round_: int) -> None:
    rows = {name: column.reshape(3, 30).T.ravel() for name, column in table().items()}
    given = PlainSum(parted(rows, 30, 60), lost=[set()] * round_ + [{"site-1"}])
    result = await ancova().analyse(given)
    assert "site-1" not in given.tables
    left = pd.DataFrame({name: np.delete(column, np.s_[30:60]) for name, column in rows.items()})
    assert result.slopes is not None
    assert result.slopes.df == 2
    both = ols("y ~ C(g) * x", left).fit(), ols("y ~ C(g) + x", left).fit()
    assert result.slopes.p == pytest.approx(both[0].compare_f_test(both[1])[1], rel=1e-7)


def correlation(*variables: Variable) -> CorrelationSpec:
    return CorrelationSpec(variables=variables, **PLAIN)


async def test_correlations_of_few_rows_and_perfect_ones() -> None:
    rows = {"x": np.array([1.0, 2.0, 4.0]), "y": np.array([2.0, 4.0, 8.0]), "z": np.array([5.0, 1.0, 7.0])}
    result = await correlation(X, Y, Z).analyse(PlainSum({"all": rows}, quantised=True))
    perfect, other, _ = result.pairs
    assert (perfect.r, perfect.lower, perfect.upper) == (pytest.approx(1.0), None, None)
    assert perfect.p == pytest.approx(0, abs=1e-6)
    assert other.p == pytest.approx(stats.pearsonr(rows["x"], rows["z"]).pvalue, rel=1e-9)
    assert "nan" not in result.summary()
    assert len(plot(result).axes) == 1


@pytest.mark.parametrize(
    ("x", "error", "complaint"),
    [
        ([3.0, 3.0, 3.0, 3.0], CollinearityError, "x: constant"),
        ([3.0, np.nan, np.nan, 4.0], NoRowsError, "2 rows across all sites have all the variables"),
        ([50.0, 50.0 + 1e-6, 50.0 - 1e-6, 50.0], None, ""),
        ([1.0, 1.0 + 1e-4, 1.0 - 1e-4, 1.0], PrecisionError, "lost within the much wider declared ranges"),
    ],
)
async def test_a_spread_that_is_small_beside_the_range(x: list[float], error: type | None, complaint: str) -> None:
    rows = {"x": np.array(x), "y": np.array([1.0, 5.0, 2.0, 9.0])}
    given = PlainSum({"all": rows}, quantised=True)
    if error:
        with pytest.raises(error, match=complaint):
            await correlation(X, Y).analyse(given)
    else:
        result = await correlation(X, Y).analyse(given)
        assert result.pairs[0].r == pytest.approx(stats.pearsonr(rows["x"], rows["y"]).statistic, rel=1e-6)
        assert len(given.queries) == 3  # within ranges


async def test_splines_are_fitted_as_in_r() -> None:
    """The coefficients and standard errors of R 4.2.2, lm(y ~ ns(age, knots = c(40, 60)) * g) and of bs(..., 2)."""
    rows = np.arange(60)
    age = 20 + rows * 7 % 61.0
    table = {"age": age, "g": rows % 2.0, "y": np.sin(age / 15) + rows % 7 / 10}
    numbers = (Variable(column="age", low=18, high=90), Variable(column="y", low=-2, high=2))
    given = {"numbers": numbers, "categories": (Category(column="g", levels=(0, 1)),), "residuals": False}
    natural = await linear("y ~ ns(age, knots=c(40, 60)) * g", **given).analyse(PlainSum(parted(table, 20, 45)))
    coef = [1.151949813478, -2.46943807286161, -1.57311940423402, -1.25260954623924]
    coef += [0.125302993217997, 0.014542414902642, -0.393657479852426, -0.287155496674783]
    se = [0.153824553446901, 0.181816094177189, 0.408753915943362, 0.243318691657625]
    se += [0.214892940159919, 0.265285439957734, 0.594808864899502, 0.390060899480865]
    np.testing.assert_allclose(natural.coef, coef, rtol=1e-8)
    np.testing.assert_allclose(natural.se, se, rtol=1e-8)
    assert [(term.name, term.df) for term in natural.terms] == [("ns(age)", 3), ("g", 1), ("ns(age):g", 3)]
    bumps = await linear("y ~ bs(age, knots=[40, 60], degree=2)", **given).analyse(PlainSum(parted(table, 20, 45)))
    expected = [0.98707854410589, 0.612877664397813, -0.91708344158838, -2.27883196011862, -0.645394001790024]
    np.testing.assert_allclose(bumps.coef, expected, rtol=1e-8)
    assert bumps.r_squared == pytest.approx(0.940634986117448, rel=1e-9)
    cubic = await linear("y ~ poly(age, 3)", **given).analyse(PlainSum(parted(table, 20, 45)))
    assert cubic.r_squared == pytest.approx(0.941106723948543, rel=1e-9)
    assert cubic.sigma**2 * cubic.df == pytest.approx(2.20593214548799, rel=1e-9)
