"""Whom results cover: too many missing persons leave no test, interval, area or curve, but a sentence."""

import asyncio
import json
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from coordinator.demo.lung import lung_by_institution
from coordinator.report.plots import has_figure, plot
from coordinator.report.text import as_facts
from coordinator.runs.lifecycle import RunOutcome, result_of
from participant.analyses.base.secure_sum import Sum
from participant.analyses.catalogue import parse_spec
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.language.statistic import Columns
from secagg.errors import ParameterError
from tests.support.plain_sum import PlainSum
from tests.unit.participant.analyses.test_examples import EXAMPLES

ROC = {
    "analysis": "roc",
    "dataset": "d",
    "row_limit": 1000,
    "bins": 2,
    "groups": 1,
    "model": {
        "analysis": "glm",
        "family": "binomial",
        "formula": "y ~ x + C(sex)",
        "numbers": [{"column": "x", "low": -4, "high": 4}, {"column": "y", "low": 0, "high": 1}],
        "categories": [{"column": "sex", "levels": [1, 2]}],
    },
}


def hospital(seed: int, slope: float, women: float) -> Columns:
    draw = np.random.default_rng(seed)  # noqa: TID251 - made-up patients
    x, sex = draw.normal(0, 1, 200).clip(-4, 4), 1.0 + (np.arange(200) < 200 * women)
    return {"x": x, "sex": sex, "y": (draw.random(200) < 1 / (1 + np.exp(-slope * x))).astype(float)}


HOSPITALS = {f"site-{k}": hospital(k, 1.2, 0.5) for k in range(3)} | {"site-3": hospital(3, -1.0, 0.04)}
"""Four sites of 200 patients; the fourth has 8 women, and x does not predict there what it predicts elsewhere."""


def covered(document: dict[str, Any], sites: dict[str, Columns]) -> Any:
    return asyncio.run(result_of(parse_spec(document), PlainSum(sites, quantised=True), len(sites)))


def test_an_area_without_a_site_s_patients_is_not_shown() -> None:
    truth = covered({**ROC, "minimum_persons": 1}, HOSPITALS)
    three = {name: HOSPITALS[name] for name in list(HOSPITALS)[:3]}
    without = covered({**ROC, "minimum_persons": 1}, three)
    assert truth.auc < without.auc_lower, "a narrow interval that does not hold the truth"
    result = covered(ROC, HOSPITALS)
    assert (result.coverage.persons, result.coverage.of_persons) == (600, 800)
    assert np.isnan([result.auc, result.auc_lower, result.auc_upper, *result.auc_bounds]).all()
    assert np.isnan(result.sensitivity).all()
    assert result.warnings[0].startswith("25.0% of the persons are missing, more than the 2% that may be")
    assert "floors for all sites together" in result.warnings[0]
    summary = result.summary()
    assert "600 of 800" in summary
    assert "4 of 4" in summary
    assert not has_figure(result)
    with pytest.raises(ParameterError, match="too many persons are missing for a figure"):
        plot(result)
    (facts,) = as_facts(UUID(int=1), RunOutcome((result,), (), {}))["results"]
    assert facts["coverage"]["of_persons"] == 800
    assert facts["auc"] is None


def test_a_plan_may_let_more_be_missing_but_bounds_hold_for_all_or_are_not_shown() -> None:
    result = covered({**ROC, "missing_share": 0.25}, HOSPITALS)
    assert 0 < result.auc_lower < result.auc < result.auc_upper
    assert np.isnan(result.auc_bounds).all()
    assert result.coverage.persons == 600


class Lacking(PlainSum):
    """Sums from which a tenth of the persons is missing."""

    async def __call__(self, query: BoundQuery) -> Sum:
        answer = await super().__call__(query)
        return Sum({**answer.values, "asked": np.array(100.0), "answered": np.array(90.0)}, answer.sites)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one["analysis"])
def test_every_analysis_loses_its_tests_and_says_so(example: dict[str, Any]) -> None:
    sums = Lacking(lung_by_institution(), quantised=True)
    result = asyncio.run(result_of(parse_spec(example | {"minimum_persons": 1}), sums, 9))
    assert result.warnings[0].startswith("10.0% of the persons are missing")
    shown = {name for row in result._summary().rows for name, value in row.items() if value is not None}
    assert not shown & {"p", "se", "lower", "upper", "z", "f", "statistic", "survival", "sensitivity", "auc"}
    summary = result.summary()
    assert "nan" not in summary.replace("covariance", "")
    assert "90 of 100" in summary
    assert not has_figure(result)
    (facts,) = as_facts(UUID(int=1), RunOutcome((result,), (), {}))["results"]
    assert json.loads(json.dumps(facts, allow_nan=False))["coverage"]["persons"] == 90
