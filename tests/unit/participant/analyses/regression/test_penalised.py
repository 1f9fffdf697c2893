"""Ridge, lasso and principal components: their examples, unusual data, and nothing to fit.

Their oracles are in `tests/oracles/cases/penalised.py`.
"""

import numpy as np
import pytest

from coordinator.report.plots import plot
from participant.analyses.base.errors import CollinearityError, NoRowsError, PrecisionError, SpecError
from participant.analyses.catalogue import parse_spec
from tests.support.plain_sum import PlainSum
from tests.support.trials import rows, split, take

NOISE = np.random.default_rng(11)  # noqa: TID251 - made-up patients
X, Z = NOISE.normal(size=(2, 120))
TABLE = {
    "x": X,
    "z": Z,
    "u": X + 0.01 * Z,
    "y": 3 * X + 0.1 * Z,
    "c": np.full(120, 4.0),
    "g": np.tile([1.0, 2.0, 3.0], 40),
}
NUMBERS = [{"column": name, "low": -20, "high": 20} for name in ("x", "z", "u", "y", "c")]


async def fit(analysis: str, formula: str, table: dict | None = None, **changes):
    document = {
        "analysis": analysis,
        "dataset": "d",
        "formula": formula,
        "numbers": NUMBERS,
        "categories": [{"column": "g", "levels": [1, 2, 3]}],
        "row_limit": 200,
        "minimum_persons": 1,
    }
    return await parse_spec(document | changes).analyse(PlainSum(split(table or TABLE, 3, 2), quantised=True))


async def reduced(names: list, table: dict | None = None, **changes):
    variables = [one for one in NUMBERS if one["column"] in names]
    document = {"analysis": "pca", "dataset": "d", "variables": variables, "row_limit": 200, "minimum_persons": 1}
    return await parse_spec(document | changes).analyse(PlainSum(split(table or TABLE, 3, 2), quantised=True))


@pytest.mark.parametrize("analysis", ["ridge", "lasso"])
async def test_without_a_penalty_to_speak_of_it_is_least_squares(analysis: str) -> None:
    result = await fit(analysis, "y ~ x + z + g", penalties=[1e-12])
    np.testing.assert_allclose(result.coef, [3, 0.1, 0, 0], atol=1e-9)
    assert result.intercept == pytest.approx(0, abs=1e-9)
    assert result.names == ("x", "z", "g[2]", "g[3]")


async def test_the_lasso_leaves_out_what_tells_nothing() -> None:
    result = await fit("lasso", "y ~ x + z + g", TABLE | {"y": 3 * X + 0.5 * NOISE.normal(size=120)})
    assert result.nonzero[0] == 0
    assert result.coef[0] != 0
    assert result.nonzero[result.best] < 4
    assert (np.diff(result.r_squared) >= -1e-12).all()
    assert "least BIC" in result.summary()
    assert [row["name"] for row in result.table()] == ["x", "z", "g[2]", "g[3]"]


async def test_collinear_covariates_have_a_ridge_and_a_lasso() -> None:
    twins = TABLE | {"u": X}
    ridge = await fit("ridge", "y ~ x + u", twins, penalties=[1.0])
    assert ridge.coef[0] == pytest.approx(ridge.coef[1])
    lasso = await fit("lasso", "y ~ x + u", twins, penalties=[0.1])
    assert lasso.standardised[0].sum() == pytest.approx(3 * X.std() - 0.1, rel=0.02)
    assert "there is no BIC" in lasso.warnings[0]


async def test_a_lost_site_is_not_in_the_fit() -> None:
    sites = split(TABLE, 3, 2)
    document = {"analysis": "ridge", "dataset": "d", "formula": "y ~ x", "numbers": NUMBERS, "row_limit": 200}
    spec = parse_spec(document | {"penalties": [2.0]})
    result = await spec.analyse(PlainSum(sites, lost=[{"site-1"}]))
    assert result.rows == rows(sites["site-0"]) + rows(sites["site-2"])


@pytest.mark.parametrize("analysis", ["ridge", "lasso"])
@pytest.mark.parametrize(
    ("formula", "table", "error", "complaint"),
    [
        ("y ~ x + c", TABLE, CollinearityError, "^c: the same value in all rows"),
        ("c ~ x", TABLE, CollinearityError, "^c: the same value in all rows"),
        ("y ~ 1", TABLE, SpecError, "needs covariates"),
        ("y ~ x - 1", TABLE, SpecError, "must keep its intercept"),
        ("y ~ x", TABLE | {"x": np.full(120, np.nan)}, NoRowsError, "across all sites, no row"),
    ],
)
async def test_no_fit(analysis: str, formula: str, table: dict, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        await fit(analysis, formula, table)


async def test_sums_that_are_too_coarse_are_refused() -> None:
    with pytest.raises(PrecisionError, match="more value_bits"):
        await fit("ridge", "y ~ x", TABLE | {"x": 15 + X / 1000}, value_bits=12)


async def test_two_variables_have_the_components_of_the_example() -> None:
    result = await reduced(["x", "z"])
    r = np.corrcoef(X, Z)[0, 1]
    np.testing.assert_allclose(result.variance, [1 + abs(r), 1 - abs(r)], rtol=1e-9)
    np.testing.assert_allclose(np.abs(result.loadings), np.sqrt(0.5), rtol=1e-9)
    assert result.table()[0]["cumulative"] == pytest.approx((1 + abs(r)) / 2)
    assert "PC1" in result.summary()


async def test_components_without_a_direction_are_said() -> None:
    """Four points on a cross: all directions are alike."""
    cross = {"x": np.array([1.0, -1, 0, 0] * 30), "z": np.array([0.0, 0, 1, -1] * 30)}
    result = await reduced(["x", "z"], TABLE | cross)
    assert result.warnings == ("equal variances: only the plane of PC1 and PC2 is determined, not each direction",)


async def test_a_component_without_variance_is_no_nonsense() -> None:
    result = await reduced(["x", "u"], TABLE | {"u": 2 * X})
    np.testing.assert_allclose(result.variance, [2, 0], atol=1e-9)


async def test_a_constant_variable_has_no_components() -> None:
    with pytest.raises(CollinearityError, match=r"^c: the same value"):
        await reduced(["x", "c"])


async def test_sites_that_are_too_small_count_as_empty() -> None:
    few = take(TABLE, np.arange(120) < 20)
    sites = {"large": TABLE, "small": take(few, np.arange(20) < 3)}
    document = {"analysis": "pca", "dataset": "d", "variables": NUMBERS[:2], "row_limit": 200}
    result = await parse_spec(document).analyse(PlainSum(sites))
    assert result.rows == 120
    assert result.warnings == ()


@pytest.mark.parametrize("analysis", ["ridge", "lasso"])
async def test_the_figure_shows_the_path(analysis: str) -> None:
    result = await fit(analysis, "y ~ x + z + g")
    axes = plot(result).axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    np.testing.assert_array_equal(lines["x"].get_xdata(), result.penalties)
    np.testing.assert_array_equal(lines["x"].get_ydata(), result.standardised[:, 0])
    assert axes.get_xlim()[0] > axes.get_xlim()[1]  # from the largest penalty to the smallest
