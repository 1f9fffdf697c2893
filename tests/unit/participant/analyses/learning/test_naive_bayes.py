"""Naive Bayes over secure sums: edge cases. `tests/oracles` compares it with scikit-learn."""

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from participant.analyses.base.errors import CollinearityError, NoRowsError, SpecError
from participant.analyses.catalogue import parse_spec
from participant.analyses.learning.naive_bayes import NaiveBayesSpec, log_odds
from tests.oracles.data import wine
from tests.support.plain_sum import PlainSum
from tests.support.trials import gbsg2, split, take


def spec(**changes) -> NaiveBayesSpec:
    document = {
        "analysis": "naive-bayes",
        "dataset": "wine",
        "outcome": {"column": "target", "levels": [0, 1, 2]},
        "numbers": [{"column": "alcohol", "low": 10, "high": 16}, {"column": "hue", "low": 0, "high": 2}],
        "row_limit": 1000,
        "minimum_persons": 1,
    }
    return parse_spec(document | changes)


async def test_a_class_that_only_one_site_has_counts_like_any_other() -> None:
    table = wine()
    sites = {f"site-{number}": take(table, table["target"] == number) for number in range(3)}
    result = await spec().analyse(PlainSum(sites, quantised=True))
    oracle = GaussianNB().fit(np.column_stack([table["alcohol"], table["hue"]]), table["target"])
    np.testing.assert_allclose(result.mean, oracle.theta_, rtol=1e-9)
    np.testing.assert_allclose(result.variance, oracle.var_, rtol=1e-9)
    np.testing.assert_allclose(result.prior, oracle.class_prior_, rtol=1e-12)


async def test_a_column_that_is_constant_in_a_class_has_the_pooled_answer_and_one_without_any_variance_none() -> None:
    table = wine() | {"flat": np.where(wine()["target"] == 1, 1.0, wine()["hue"]), "same": np.ones(178)}
    flat = {"column": "flat", "low": 0, "high": 2}
    result = await spec(numbers=[flat]).analyse(PlainSum(split(table, 3, 1), quantised=True))
    oracle = GaussianNB().fit(table["flat"][:, None], table["target"])
    np.testing.assert_allclose(result.variance, oracle.var_, rtol=1e-6)
    with pytest.raises(CollinearityError, match="same: constant in some class"):
        await spec(numbers=[flat | {"column": "same"}]).analyse(PlainSum(split(table, 3, 1), quantised=True))


async def test_a_class_that_nobody_has_is_refused() -> None:
    with pytest.raises(NoRowsError, match=r"across all sites, no row is of target\[7\]"):
        await spec(outcome={"column": "target", "levels": [0, 7]}).analyse(PlainSum(split(wine(), 3, 1)))


async def test_the_log_odds_are_those_of_scikit_learn_row_by_row() -> None:
    table = gbsg2()
    numbers = [{"column": "age", "low": 18, "high": 90}, {"column": "tsize", "low": 0, "high": 150}]
    asked = spec(
        dataset="gbsg2",
        outcome={"column": "cens", "levels": [0, 1]},
        numbers=numbers,
        variance_floor=0.0,
    )
    predictor = log_odds(asked, await asked.analyse(PlainSum(split(table, 3, 1))))
    x = np.column_stack([table["age"], table["tsize"]])
    oracle = GaussianNB(var_smoothing=0).fit(x, table["cens"]).predict_log_proba(x)
    ours = predictor.coefficients @ predictor.design.coded(table).z
    np.testing.assert_allclose(ours, oracle[:, 1] - oracle[:, 0], rtol=1e-7, atol=1e-9)
    several = spec()
    with pytest.raises(SpecError, match="3 classes"):
        log_odds(several, await several.analyse(PlainSum(split(wine(), 3, 1))))


async def test_small_cells_and_odd_values_are_said() -> None:
    numbers = [{"column": "alcohol", "low": 12, "high": 14}]
    result = await spec(minimum_persons=5, numbers=numbers).analyse(PlainSum(split(wine(), 9, 1)))
    assert "values of alcohol lie outside" in result.summary()
    assert "left out their whole table" in result.summary()
    with pytest.raises(NoRowsError, match="sites hide cells of fewer than 100 rows"):
        await spec(minimum_persons=100).analyse(PlainSum(split(wine(), 9, 1)))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"numbers": []}, "needs a number or a category"),
        ({"categories": [{"column": "hue", "levels": [0, 1]}]}, "listed twice"),
        ({"smoothing": 0}, "smoothing"),
    ],
)
def test_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        spec(**changes)
