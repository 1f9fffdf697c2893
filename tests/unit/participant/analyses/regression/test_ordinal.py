"""Ordinal logistic regression: compared with logistic regression, with lost sites, and without a fit.

Its oracle is in `tests/oracles/cases/ordinal.py`.
"""

import numpy as np
import pytest

from participant.analyses.base.errors import AnalysisError, CollinearityError, NoRowsError, SeparationError, SpecError
from participant.analyses.regression.glm import GlmSpec
from participant.analyses.regression.ordinal import OrdinalResult, OrdinalSpec
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.support.plain_sum import PlainSum
from tests.support.trials import gbsg2, split

GIVEN = {
    "dataset": "gbsg2",
    "numbers": (Variable(column="age", low=18, high=90), Variable(column="tsize", low=0, high=150)),
    "categories": (
        Category(column="tgrade", levels=(1, 2, 3)),
        Category(column="horTh", levels=(0, 1)),
        Category(column="cens", levels=(0, 1)),
    ),
    "row_limit": 1000,
    "minimum_persons": 1,
}


async def fit(formula: str, table: dict | None = None, *, lost: tuple = (), **changes) -> OrdinalResult:
    spec = OrdinalSpec(**GIVEN | {"formula": formula} | changes)
    return await spec.analyse(PlainSum(split(table or gbsg2(), 3, 4), quantised=True, lost=lost))


async def test_two_levels_are_logistic_regression() -> None:
    result = await fit("cens ~ age + horTh")
    numbers = (*GIVEN["numbers"], Variable(column="cens", low=0, high=1))
    logistic = GlmSpec(
        **GIVEN | {"numbers": numbers, "categories": GIVEN["categories"][:2]},
        formula="cens ~ age + horTh",
        family="binomial",
    )
    expected = await logistic.analyse(PlainSum(split(gbsg2(), 3, 4), quantised=True))
    np.testing.assert_allclose(result.coef, expected.coef[1:], rtol=1e-8)
    np.testing.assert_allclose(result.cuts, [-expected.coef[0]], rtol=1e-8)
    np.testing.assert_allclose(result.se, expected.se[1:], rtol=1e-8)
    np.testing.assert_allclose(result.aic, expected.aic, rtol=1e-10)


async def test_the_words_of_the_result() -> None:
    result = await fit("tgrade ~ age + horTh")
    text = result.summary()
    assert "Ordinal logistic regression of tgrade" in text
    assert "Cuts (std err): 1|2 -" in text
    assert result.names == ("age", "horTh[1]")
    assert result.warnings == ()
    assert result.table()[0]["odds_ratio"] == pytest.approx(np.exp(result.coef[0]))
    np.testing.assert_array_equal(result.levels, [np.count_nonzero(gbsg2()["tgrade"] == level) for level in (1, 2, 3)])


@pytest.mark.parametrize("at_round", range(1, 5))
async def test_a_site_that_is_lost_leaves_the_fit(at_round: int) -> None:
    result = await fit("tgrade ~ age + tsize", lost=[set()] * at_round + [{"site-1"}])
    sites = {name: table for name, table in split(gbsg2(), 3, 4).items() if name in result.sites}
    alone = await OrdinalSpec(**GIVEN, formula="tgrade ~ age + tsize").analyse(PlainSum(sites))
    np.testing.assert_allclose(result.coef, alone.coef, rtol=1e-6)
    np.testing.assert_allclose(result.null_log_likelihood, alone.null_log_likelihood, rtol=1e-12)


def changed(**columns) -> dict:
    return gbsg2() | {name: np.asarray(column, np.float64) for name, column in columns.items()}


GRADE = gbsg2()["tgrade"]


@pytest.mark.parametrize(
    ("formula", "table", "error", "complaint"),
    [
        (
            "tgrade ~ age + horTh",
            changed(tgrade=np.full(686, 2)),
            NoRowsError,
            "across all sites, no row has tgrade 1, 3;",
        ),
        ("tgrade ~ age", changed(age=np.full(686, np.nan)), NoRowsError, "across all sites, no row meets"),
        ("tgrade ~ age + tsize", changed(tsize=gbsg2()["age"] - 10), CollinearityError, "^age, tsize: |^1.2"),
        ("tgrade ~ age + tsize", changed(tsize=np.full(686, 30)), CollinearityError, "tsize: these are collinear"),
        ("tgrade ~ horTh", changed(horTh=np.zeros(686)), CollinearityError, r"horTh\[1\]: always 0 in the rows"),
        ("tgrade ~ age", changed(age=20 + 20 * GRADE), SeparationError, "age.*: the estimate grows without bound"),
        ("tgrade ~ horTh", changed(horTh=GRADE > 1), SeparationError, "horTh.*: the estimate grows without bound"),
        ("age ~ horTh", gbsg2(), SpecError, "must be a category with ordered levels"),
        ("tgrade ~ 1", gbsg2(), SpecError, "needs covariates"),
        ("tgrade ~ age - 1", gbsg2(), SpecError, "its intercept"),
    ],
)
async def test_no_fit(formula: str, table: dict, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint) as caught:
        await fit(formula, table)
    assert isinstance(caught.value, (AnalysisError, SpecError))


async def test_values_out_of_range_and_other_codes_are_said() -> None:
    result = await fit(
        "tgrade ~ tsize",
        changed(tgrade=np.where(np.arange(686) < 7, 9, GRADE)),
        numbers=(Variable(column="tsize", low=0, high=100),),
    )
    large = np.count_nonzero(gbsg2()["tsize"] > 100)
    assert result.warnings == (
        f"{large} values of tsize lie outside their declared range or levels",
        "7 values of tgrade lie outside their declared range or levels",
    )
