"""The linear support vector machine over secure sums: edge cases. `tests/oracles` compares it with liblinear."""

import numpy as np
import pytest
from scipy.optimize import minimize

from participant.analyses.base.errors import CodingError, NoRowsError, SpecError
from participant.analyses.catalogue import parse_spec
from participant.analyses.learning.svm import LinearSvmSpec
from tests.support.plain_sum import PlainSum
from tests.support.trials import gbsg2, split


def spec(**changes) -> LinearSvmSpec:
    document = {
        "analysis": "linear-svm",
        "dataset": "gbsg2",
        "formula": "cens ~ scale(age, 50, 10) + scale(tsize, 30, 15)",
        "numbers": [
            {"column": "age", "low": 18, "high": 90},
            {"column": "tsize", "low": 0, "high": 150},
            {"column": "cens", "low": 0, "high": 1},
        ],
        "row_limit": 1000,
        "minimum_persons": 1,
    }
    return parse_spec(document | changes)


@pytest.mark.parametrize("cost", [1e-3, 1.0, 100.0])
async def test_without_a_penalty_on_the_intercept_it_is_the_minimum_that_scipy_finds(cost: float) -> None:
    table = gbsg2()
    z = np.column_stack([np.ones(686), (table["age"] - 50) / 10, (table["tsize"] - 30) / 15])
    s = 2 * table["cens"] - 1

    def objective(b):
        h = np.maximum(0, 1 - s * (z @ b))
        return b[1:] @ b[1:] / 2 + cost * h @ h, np.append(0, b[1:]) - 2 * cost * z.T @ (s * h)

    oracle = minimize(objective, np.zeros(3), jac=True, method="BFGS", options={"gtol": 1e-9 * max(cost, 1)})
    result = await spec(cost=cost).analyse(PlainSum(split(table, 9, 2), quantised=True))
    np.testing.assert_allclose(result.coef, oracle.x, rtol=1e-6, atol=1e-8)
    assert result.objective == pytest.approx(oracle.fun, rel=1e-10)
    assert result.within == np.count_nonzero(s * (z @ result.coef) < 1)


async def test_a_class_that_only_one_site_has_and_classes_that_are_apart() -> None:
    table = gbsg2() | {"cens": (gbsg2()["age"] > 50).astype(float)}
    where = np.where(table["age"] > 50, 0, 1 + np.arange(686) % 2)
    sites = {f"site-{k}": {name: column[where == k] for name, column in table.items()} for k in range(3)}
    result = await spec(cost=1e3).analyse(PlainSum(sites, quantised=True))
    one = await spec(cost=1e3).analyse(PlainSum({"all": table}))
    np.testing.assert_allclose(result.coef, one.coef, rtol=1e-6)
    assert np.isfinite(result.coef).all()
    assert result.within < 300


async def test_a_constant_and_a_repeated_column_leave_the_answer_unique() -> None:
    table = gbsg2() | {"same": np.full(686, 3.0)}
    numbers = [one.model_dump() for one in spec().numbers] + [{"column": "same", "low": 0, "high": 5}]
    asked = spec(formula="cens ~ scale(age, 50, 10) + same + I(age >= 50) + I(age < 50)", numbers=numbers)
    result = await asked.analyse(PlainSum(split(table, 3, 2), quantised=True))
    coef = dict(zip(result.names, result.coef, strict=True))
    assert coef["same"] == pytest.approx(0, abs=1e-9)
    assert coef["age >= 50"] == pytest.approx(-coef["age < 50"], rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "complaint"),
    [
        ({"filter": [{"column": "cens", "op": "==", "value": 1}]}, NoRowsError, "are of one class"),
        (
            {"filter": [{"column": "age", "op": ">", "value": 200}]},
            NoRowsError,
            "meets the filter, so there is nothing to separate",
        ),
        ({"formula": "tsize ~ age"}, SpecError, "coded 0 and 1"),
        ({"formula": "horTh ~ age", "numbers": [{"column": "age", "low": 18, "high": 90}]}, SpecError, "horTh"),
    ],
)
async def test_no_fit(changes: dict, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        await spec(**changes).analyse(PlainSum(split(gbsg2(), 3, 0)))


async def test_another_coding_of_the_classes_is_refused() -> None:
    table = gbsg2() | {"cens": gbsg2()["cens"] + 1}
    with pytest.raises(CodingError, match="other than 0 and 1"):
        await spec().analyse(PlainSum(split(table, 3, 0)))
