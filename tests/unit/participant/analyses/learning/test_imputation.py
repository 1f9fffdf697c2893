"""Multiple imputation over secure sums: fits of the completed rows, Rubin's rules, and refusals."""

from itertools import groupby

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from participant.analyses.base.errors import EquationError, NoRowsError, SpecError
from participant.analyses.catalogue import parse_spec
from participant.analyses.learning.imputation import ImputationSpec
from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.evaluate import rows_asked
from participant.statistics.language.query import canonical
from participant.statistics.vocabulary.imputed import ImputedParams, completed
from tests.support.plain_sum import PlainSum
from tests.support.trials import split

NAN = np.nan
ROWS = 900


def table():
    """`x` is missing where `z` is high, `b` where `y` is: complete rows alone give a biased fit of y."""
    rng = np.random.default_rng(5)  # noqa: TID251 - test data
    z = rng.normal(0, 1, ROWS)
    x = 0.6 * z + rng.normal(0, 1, ROWS)
    b = (rng.random(ROWS) < 1 / (1 + np.exp(-x))).astype(float)
    y = 1 + x + z + b + rng.normal(0, 1, ROWS)
    return {"x": np.where(rng.random(ROWS) < 0.6 * (y > 2), NAN, x), "z": z, "y": y} | {
        "b": np.where(rng.random(ROWS) < 0.3 * (z > 0), NAN, b),
        "whole x": x,
        "whole b": b,
    }


def spec(**changes) -> ImputationSpec:
    document = {
        "analysis": "imputation",
        "dataset": "made",
        "numbers": [
            *({"column": name, "low": -20, "high": 20} for name in "xzy"),
            {"column": "b", "low": 0, "high": 1},
        ],
        "gaps": [{"column": "x"}, {"column": "b", "family": "binomial"}],
        "model": {"analysis": "glm", "formula": "y ~ x + z + b"},
        "imputations": 2,
        "iterations": 1,
        "minimum_persons": 1,
        "row_limit": 1000,
    }
    return parse_spec(document | changes)


def of_sums(query, sites):
    """The completed rows that a query's sums are over, as one table."""
    params = ImputedParams.model_validate_json(canonical(query.params))
    parts = []
    for site in sites.values():
        rows = rows_asked(bind(query), site)
        parts.append(completed(params, {name: site[name][rows] for name in params.columns}))
    return {name: np.concatenate([part[name] for part in parts]) for name in params.columns}


async def test_each_fit_is_that_of_statsmodels_on_the_completed_rows_and_they_are_pooled_by_rubin_s_rules() -> None:
    sites = split(table(), 3, 1)
    sums = PlainSum(sites, quantised=True)
    result = await spec(imputations=3).analyse(sums)
    inside = [query for query in sums.queries if query.statistic == "imputed" and query.params["observed"] is None]
    chains = [list(group)[-1] for _, group in groupby(inside, key=lambda query: query.params["seed"])]
    fits = []
    for query in chains:
        rows = of_sums(query, sites)
        assert len(query.params["draws"]) == 2
        assert len(rows["x"]) == ROWS == result.rows
        fits.append(sm.OLS(rows["y"], sm.add_constant(np.column_stack([rows["x"], rows["z"], rows["b"]]))).fit())
    np.testing.assert_allclose(result.fits, [fit.params for fit in fits], rtol=1e-6)
    q = np.array([fit.params for fit in fits])
    u, b = np.mean([fit.cov_params() for fit in fits], axis=0), np.cov(q.T)
    t = np.diag(u + 4 / 3 * b)
    np.testing.assert_allclose(result.se, np.sqrt(t), rtol=1e-6)
    share = 4 / 3 * np.diag(b) / t
    old, f = 2 / share**2, ROWS - 4
    df = 1 / (1 / old + (f + 3) / ((f + 1) * f * (1 - share)))
    np.testing.assert_allclose(result.df, df, rtol=1e-6)
    np.testing.assert_allclose(result.p, 2 * stats.t.sf(np.abs(q.mean(axis=0)) / np.sqrt(t), df), rtol=1e-5, atol=1e-12)
    assert result.imputed == {name: np.count_nonzero(np.isnan(table()[name])) for name in ("x", "b")}
    assert "Imputed x" in result.summary()


async def test_equations_are_fitted_to_the_rows_that_had_the_column() -> None:
    sites = split(table(), 3, 1)
    sums = PlainSum(sites)
    await spec(iterations=2).analyse(sums)
    second = next(query for query in sums.queries if query.statistic == "imputed" and len(query.params["draws"]) == 2)
    rows = of_sums(second, sites)
    there = ~np.isnan(np.concatenate([site["x"] for site in sites.values()]))
    assert second.params["observed"] == "x"
    np.testing.assert_array_equal(rows["x"], np.concatenate([site["x"] for site in sites.values()])[there])
    assert not np.isnan(rows["b"]).any()


async def test_what_is_missing_at_random_biases_complete_rows_and_not_the_imputed_ones() -> None:
    whole = table()
    full = sm.OLS(whole["y"], sm.add_constant(np.column_stack([whole["whole x"], whole["z"], whole["whole b"]]))).fit()
    there = ~np.isnan(whole["x"]) & ~np.isnan(whole["b"])
    x = sm.add_constant(np.column_stack([whole["x"], whole["z"], whole["b"]])[there])
    complete = sm.OLS(whole["y"][there], x).fit()
    result = await spec(imputations=5, iterations=2).analyse(PlainSum(split(whole, 3, 1), quantised=True))
    assert abs(complete.params[0] - full.params[0]) > 3 * full.bse[0]
    assert (np.abs(result.coef - full.params) < 3 * result.se).all()
    assert (result.se > full.bse).all()
    assert (result.missing_information > 0.05).any()


async def test_the_same_seed_gives_the_same_answer_and_a_lost_site_a_fit_of_the_others() -> None:
    sites = split(table(), 3, 1)
    first, again = await spec().analyse(PlainSum(sites)), await spec().analyse(PlainSum(sites))
    np.testing.assert_array_equal(first.fits, again.fits)
    other = await spec(seed=9).analyse(PlainSum(sites))
    assert (first.coef != other.coef).all()
    lossy = await spec().analyse(PlainSum(sites, lost=[set()] * 5 + [{"site-1"}]))
    assert lossy.rows == ROWS - len(sites["site-1"]["x"])
    assert "site-1" not in lossy.sites


async def test_the_floor_leaves_out_rows_of_sites_with_few_gaps() -> None:
    sites = split(table(), 3, 1)
    sites["site-0"]["b"] = np.where(np.arange(len(sites["site-0"]["b"])) < 3, NAN, 1.0)
    result = await spec(minimum_persons=5).analyse(PlainSum(sites))
    assert result.rows == ROWS - 3
    assert result.imputed["b"] == np.count_nonzero(np.isnan(np.concatenate([s["b"] for s in sites.values()]))) - 3


async def test_a_column_that_nobody_has_and_one_that_cannot_be_told_are_refused() -> None:
    with pytest.raises(NoRowsError, match="has x"):
        await spec().analyse(PlainSum(split(table() | {"x": np.full(ROWS, NAN)}, 3, 1)))
    constant = table() | {"z": np.ones(ROWS)}
    with pytest.raises(EquationError, match=r"the equation of x cannot be fitted: .*the same value in all rows"):
        await spec().analyse(PlainSum(split(constant, 3, 1)))


async def test_gaps_that_are_few_at_every_site_are_not_filled_and_that_is_said() -> None:
    few = table() | {"b": np.where(np.arange(ROWS) < 9, NAN, table()["whole b"])}
    result = await spec(minimum_persons=20).analyse(PlainSum(split(few, 3, 1)))
    assert result.imputed["b"] == 0
    assert "no missing value of b was imputed" in result.summary()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"gaps": [{"column": "w"}]}, "not among the numbers"),
        ({"gaps": [{"column": "x", "family": "binomial"}]}, "range 0 to 1"),
        ({"gaps": [{"column": "x"}, {"column": "x"}]}, "listed twice"),
        ({"model": {"analysis": "glm", "formula": "y ~ ward"}}, "the variable ward is not declared"),
        ({"model": {"analysis": "glm", "formula": "y ~ x", "row_limit": 9}}, "give these outside"),
        ({"model": {"analysis": "cox", "formula": "y ~ x"}}, "model: analysis"),
        ({"imputations": 1}, "imputations"),
    ],
)
def test_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        spec(**changes)
