"""Edge cases from real cohorts: each gives the pooled answer or a refusal with its reason, never nonsense.

The survival analyses have more of them in their own tests.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test

from participant.analyses.base.errors import (
    AnalysisError,
    CodingError,
    CollinearityError,
    NoEventsError,
    NoRowsError,
    SeparationError,
    SpecError,
)
from participant.analyses.base.result import AnalysisResult
from participant.analyses.catalogue import parse_spec
from participant.statistics.language.statistic import Columns
from tests.support.plain_sum import PlainSum
from tests.support.trials import gbsg2, split, take

ROWS = 686
NUMBERS = [
    {"column": "age", "low": 18, "high": 90},
    {"column": "tsize", "low": 0, "high": 150},
    {"column": "cens", "low": 0, "high": 1},
]
CATEGORIES = [{"column": "tgrade", "levels": [1, 2, 3]}, {"column": "horTh", "levels": [0, 1]}]
RECORDS = {"dataset": "gbsg2", "row_limit": 1000, "minimum_persons": 1}
MODEL = RECORDS | {"numbers": NUMBERS, "categories": CATEGORIES}
SURVIVAL = RECORDS | {"time": "time", "event": "cens", "grid": {"width": 30, "count": 90}}
ASKED: dict[str, dict[str, Any]] = {
    "linear": MODEL | {"analysis": "glm", "formula": "tsize ~ age + horTh"},
    "logistic": MODEL | {"analysis": "glm", "formula": "cens ~ age + horTh", "family": "binomial"},
    "ordinal": MODEL | {"analysis": "ordinal", "formula": "tgrade ~ age + horTh"},
    "ridge": MODEL | {"analysis": "ridge", "formula": "tsize ~ age + horTh", "penalties": [1.0]},
    "lasso": MODEL | {"analysis": "lasso", "formula": "tsize ~ age + horTh", "penalties": [0.1]},
    "pca": RECORDS | {"analysis": "pca", "variables": NUMBERS},
    "cox": SURVIVAL
    | {
        "analysis": "cox",
        "covariates": [*NUMBERS[:2], {"column": "horTh", "low": 0, "high": 1}],
        "proportional_hazards": "km",
    },
    "kaplan-meier": SURVIVAL | {"analysis": "kaplan-meier"},
    "log-rank": SURVIVAL | {"analysis": "log-rank", "group": CATEGORIES[1]},
}
STRATA = {"strata": [CATEGORIES[0]]}


async def ask(name: str, sites: dict[str, Columns], **changes: Any) -> AnalysisResult:
    return await parse_spec(ASKED[name] | changes).analyse(PlainSum(sites, quantised=True))


def changed(**columns: Any) -> Columns:
    return gbsg2() | {name: np.broadcast_to(np.asarray(column, np.float64), ROWS) for name, column in columns.items()}


def numbers(result: AnalysisResult) -> np.ndarray:
    """Return all numbers of the table, NaN where there is none."""
    cells = [value for row in result.table() for value in row.values() if not isinstance(value, str)]
    return np.array(cells, np.float64)


async def assert_pooled(name: str, sites: dict[str, Columns], **changes: Any) -> AnalysisResult:
    result = await ask(name, sites, **changes)
    everything = {column: np.concatenate([site[column] for site in sites.values()]) for column in gbsg2()}
    np.testing.assert_allclose(
        numbers(result), numbers(await ask(name, {"all": everything}, **changes)), rtol=1e-6, atol=1e-9
    )
    return result


CONSTANT = split(changed(tsize=30, cens=0, tgrade=2), 3, 0)


@pytest.mark.parametrize("name", ASKED)
async def test_a_site_without_events_and_one_without_rows(name: str) -> None:
    table, empty = gbsg2(), take(gbsg2(), np.zeros(ROWS, bool))
    sites = {"some": take(table, table["cens"] == 1), "none": take(table, table["cens"] == 0), "empty": empty}
    result = await assert_pooled(name, sites)
    assert len(result.sites) == 3


@pytest.mark.parametrize("name", ASKED)
async def test_a_level_that_one_site_has_alone(name: str) -> None:
    table = gbsg2()
    sites = {"treated": take(table, table["horTh"] == 1), "not": take(table, table["horTh"] == 0)}
    await assert_pooled(name, sites)


@pytest.mark.parametrize("name", ["cox", "log-rank"])
async def test_a_stratum_that_one_site_has_alone(name: str) -> None:
    table = gbsg2()
    await assert_pooled(name, {str(g): take(table, table["tgrade"] == g) for g in (1, 2, 3)}, **STRATA)


@pytest.mark.parametrize("name", ["kaplan-meier", "log-rank"])
async def test_ties_everywhere(name: str) -> None:
    """All patients leave at one time."""
    await assert_pooled(name, split(changed(time=100), 3, 0))


@pytest.mark.parametrize("ties", ["efron", "breslow"])
async def test_ties_everywhere_tell_no_trend_of_hazards(ties: str) -> None:
    result = await assert_pooled("cox", split(changed(time=100), 3, 0), ties=ties)
    assert result.warnings == ("events fall on too few grid times for a test of proportional hazards",)


@pytest.mark.parametrize(
    ("name", "error", "complaint"),
    [
        ("linear", CollinearityError, "tsize: constant"),
        ("ridge", CollinearityError, "tsize: the same value in all rows"),
        ("lasso", CollinearityError, "tsize: the same value in all rows"),
        ("ordinal", NoRowsError, "across all sites, no row has tgrade 1, 3"),
        ("logistic", SeparationError, "the estimate grows without bound"),
        ("pca", CollinearityError, "tsize, cens: the same value in all rows"),
        ("log-rank", NoEventsError, "no event lies on the grid"),
    ],
)
async def test_a_constant_outcome(name: str, error: type[Exception], complaint: str) -> None:
    """Without an event there is nothing to fit."""
    with pytest.raises(error, match=complaint):
        await ask(name, CONSTANT)


async def test_a_constant_covariate_of_a_cox_model() -> None:
    with pytest.raises(CollinearityError, match="tsize: the same value in all rows"):
        await ask("cox", split(changed(tsize=30), 3, 0))


async def test_a_cox_model_without_an_event() -> None:
    with pytest.raises(NoEventsError, match="event"):
        await ask("cox", split(changed(cens=0), 3, 0))


async def test_a_curve_without_an_event_stays_where_it_is() -> None:
    assert ((await ask("kaplan-meier", CONSTANT)).survival == 1).all()


@pytest.mark.parametrize("name", ["linear", "logistic", "ordinal", "cox"])
async def test_collinear_columns(name: str) -> None:
    formula = {} if name == "cox" else {"formula": ASKED[name]["formula"].replace("horTh", "I(age ** 2)")}
    table = changed(age=30 + 20 * gbsg2()["horTh"], tsize=10 + gbsg2()["horTh"])
    with pytest.raises(CollinearityError, match="age"):
        await ask(name, split(table, 3, 0), **formula)


@pytest.mark.parametrize(("name", "columns"), [("logistic", "cens"), ("ordinal", "tgrade"), ("cox", "cens")])
async def test_perfect_separation(name: str, columns: str) -> None:
    table = changed(horTh=gbsg2()[columns] > gbsg2()[columns].min())
    with pytest.raises(SeparationError, match="horTh"):
        await ask(name, split(table, 3, 0))


@pytest.mark.parametrize("name", [name for name, asked in ASKED.items() if "grid" not in asked])
async def test_a_site_that_hides_its_table_is_said(name: str) -> None:
    """Its rows of one level are too few; a site with fewer rows than the floor counts as one without rows."""
    whole = gbsg2()
    apart = (np.arange(ROWS) < 60) & ((whole["horTh"] == 0) | (np.cumsum(whole["horTh"]) <= 3))
    sites = split(whole, 2, 0) | {"few": take(whole, apart), "tiny": take(whole, np.arange(ROWS) < 3)}
    if name == "pca":
        sites["few"]["tsize"] = np.where(np.arange(apart.sum()) < 3, 30.0, 0.0)
    result = await ask(name, sites, minimum_persons=5)
    assert result.warnings[0].startswith(f"{ROWS} of {ROWS + apart.sum()} persons are in these sums")


@pytest.mark.parametrize("name", [name for name, asked in ASKED.items() if "grid" in asked])
async def test_a_fine_grid_under_a_floor_has_no_result_and_that_is_said(name: str) -> None:
    with pytest.raises(AnalysisError, match="0 of 686 persons are in these sums"):
        await ask(name, split(gbsg2(), 2, 0), minimum_persons=5)


BINARY = {
    "glm": ASKED["logistic"],
    "logistic": MODEL | {"analysis": "logistic", "formula": "cens ~ age"},
    "linear-svm": MODEL | {"analysis": "linear-svm", "formula": "cens ~ age"},
    "roc": RECORDS
    | {
        "analysis": "roc",
        "model": {"analysis": "given", "formula": "cens ~ age", "numbers": NUMBERS, "coefficients": [-1, 0.02]},
    },
    "cross-validation": RECORDS
    | {
        "analysis": "cross-validation",
        "model": {"analysis": "glm", "family": "binomial", "formula": "cens ~ age", "numbers": NUMBERS},
    },
    "federated-training": MODEL
    | {
        "analysis": "federated-training",
        "formula": "cens ~ age",
        "trainer": "logistic-regression",
        "settings": {"steps": 1, "rate": 1e-4, "penalty": 0.0, "proximal": 0.0},
        "rounds": 1,
        "clip": 10.0,
        "loss_limit": 50.0,
    },
    "imputation": MODEL
    | {
        "analysis": "imputation",
        "gaps": [{"column": "cens", "family": "binomial"}],
        "model": {"analysis": "glm", "formula": "tsize ~ cens"},
        "imputations": 2,
    },
}


@pytest.mark.parametrize(
    "codes",
    [{"cens": 1 + gbsg2()["cens"]}, {"cens": np.where(np.arange(ROWS) < 2, 9, gbsg2()["cens"])}],
    ids=["1 and 2", "two nines"],
)
@pytest.mark.parametrize("name", BINARY)
async def test_a_binary_outcome_with_other_codes_is_refused(name: str, codes: Columns) -> None:
    with pytest.raises(CodingError, match="rows have a value of cens other than 0 and 1"):
        await parse_spec(BINARY[name]).analyse(PlainSum(split(changed(**codes), 3, 0), quantised=True))


async def test_a_share_of_trials_is_an_outcome_with_weights() -> None:
    shares = changed(cens=np.arange(ROWS) % 5 / 4, trials=4.0)
    weight = {"weight": {"column": "trials", "low": 0, "high": 9}, "formula": "cens ~ age"}
    fit = await ask("logistic", split(shares, 3, 0), **weight)
    oracle = sm.GLM(
        shares["cens"], sm.add_constant(shares["age"]), sm.families.Binomial(), freq_weights=shares["trials"]
    )
    np.testing.assert_allclose(fit.coef, oracle.fit(tol=1e-14).params, rtol=1e-6)


AT_ZERO = {
    "time": np.array([0, 0, 0, 0, 1, 1, 2, 3, 5, 8, 9, 10.0]),
    "cens": np.array([0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 1.0]),
    "horTh": np.array([0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 1.0]),
    "tsize": np.arange(12.0) * 7 % 5,
}
DEAD_AT_ZERO = AT_ZERO | {"cens": AT_ZERO["cens"] + (np.arange(12) < 2)}
DAYS = {"grid": {"width": 1, "count": 10}, "row_limit": 12}


@pytest.mark.parametrize("table", [AT_ZERO, DEAD_AT_ZERO], ids=["censored", "dead"])
async def test_rows_that_leave_at_time_0_are_not_at_risk_later(table: Columns) -> None:
    """They are in the curve and the tests as in lifelines, with a time of their own before the first interval."""
    sites = split(table, 3, 0)
    curve = await ask("kaplan-meier", sites, **DAYS)
    oracle = KaplanMeierFitter().fit(table["time"], table["cens"])
    np.testing.assert_allclose(curve.survival, oracle.survival_function_at_times(np.arange(11.0)), rtol=1e-12)
    assert curve.median == oracle.median_survival_time_
    test = await ask("log-rank", sites, **DAYS)
    expected = multivariate_logrank_test(table["time"], table["horTh"], table["cens"])
    assert test.statistic == pytest.approx(expected.test_statistic, rel=1e-9)
    changes = DAYS | {"covariates": [NUMBERS[1]], "proportional_hazards": "rank"}
    fit = await ask("cox", sites, **changes)
    frame = pd.DataFrame({name: table[name] for name in ("time", "cens", "tsize")})
    pooled = CoxPHFitter().fit(frame, "time", "cens", fit_options={"precision": 1e-12})
    assert fit.coef[0] == pytest.approx(pooled.params_["tsize"], rel=1e-6)
    assert fit.log_likelihood == pytest.approx(pooled.log_likelihood_, rel=1e-9)


async def test_an_event_at_time_0_has_no_logarithm() -> None:
    changes = DAYS | {"covariates": [NUMBERS[1]], "proportional_hazards": "log"}
    assert (await ask("cox", {"all": AT_ZERO}, **changes)).proportional_hazards is not None
    with pytest.raises(SpecError, match="use another proportional_hazards"):
        await ask("cox", {"all": DEAD_AT_ZERO}, **changes)
