"""ROC curves, calibration and cross-validation: edge cases, and the models that can be assessed."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from participant.analyses.base.errors import FoldError, NoRowsError, SpecError
from participant.analyses.catalogue import parse_spec
from participant.analyses.learning.cross_validation import CrossValidationSpec
from participant.analyses.learning.roc import RocSpec
from participant.statistics.language.conditions import Fold, meets
from tests.support.plain_sum import PlainSum
from tests.support.trials import gbsg2, split

NUMBERS = [
    {"column": "age", "low": 18, "high": 90},
    {"column": "tsize", "low": 0, "high": 150},
    {"column": "cens", "low": 0, "high": 1},
]
GLM = {"analysis": "glm", "family": "binomial", "formula": "cens ~ age + tsize", "numbers": NUMBERS}
BAYES = {"analysis": "naive-bayes", "outcome": {"column": "cens", "levels": [0, 1]}, "numbers": NUMBERS[:2]}
MACHINE = {
    "analysis": "linear-svm",
    "formula": "cens ~ scale(age, 50, 10) + scale(tsize, 30, 15)",
    "numbers": NUMBERS,
    "penalise_intercept": True,
}
COMMON = {"dataset": "gbsg2", "row_limit": 1000, "minimum_persons": 1}


def roc(model=GLM, **changes) -> RocSpec:
    return parse_spec({"analysis": "roc", "model": model, "bins": 200} | COMMON | changes)


def validation(model=GLM, **changes) -> CrossValidationSpec:
    return parse_spec({"analysis": "cross-validation", "model": model, "bins": 200} | COMMON | changes)


def covariates():
    return np.column_stack([gbsg2()["age"], gbsg2()["tsize"]])


async def test_naive_bayes_is_assessed_by_its_probabilities() -> None:
    result = await roc(BAYES | {"variance_floor": 0.0}).analyse(PlainSum(split(gbsg2(), 9, 1), quantised=True))
    model = GaussianNB(var_smoothing=0).fit(covariates(), gbsg2()["cens"])
    p = model.predict_proba(covariates())[:, 1]
    assert result.auc == pytest.approx(roc_auc_score(gbsg2()["cens"], np.searchsorted(result.threshold, p)), rel=1e-9)
    assert result.accuracy == accuracy_score(gbsg2()["cens"], p > 0.5)
    assert sum(group.rows for group in result.groups) == 686
    assert np.average([one.predicted for one in result.groups], weights=[one.rows for one in result.groups]) == (
        pytest.approx(p.mean(), rel=1e-9)
    )


async def test_a_support_vector_machine_by_the_order_of_its_scores() -> None:
    result = await roc(MACHINE).analyse(PlainSum(split(gbsg2(), 3, 1), quantised=True))
    z = (covariates() - [50, 30]) / [10, 15]
    oracle = LinearSVC(dual=False, tol=1e-10).fit(z, gbsg2()["cens"])
    assert result.accuracy == accuracy_score(gbsg2()["cens"], oracle.predict(z))
    low, high = result.auc_bounds
    assert low <= roc_auc_score(gbsg2()["cens"], oracle.decision_function(z)) <= high
    assert (result.log_loss, result.calibration, result.groups) == (None, None, ())
    folds = await validation(MACHINE, folds={"of": 3}).analyse(PlainSum(split(gbsg2(), 3, 1)))
    assert folds.total.deviance is None
    assert folds.total.rows == 686


async def test_cross_validation_of_naive_bayes_is_that_of_one_table_whatever_the_sites() -> None:
    results = [
        await validation(BAYES, folds={"of": 4, "seed": 9}).analyse(PlainSum(split(gbsg2(), parts, 1), quantised=True))
        for parts in (1, 9)
    ]
    assert results[0].folds[2].auc == results[1].folds[2].auc
    fold = Fold(columns=("age", "tsize", "cens"), of=4, folds=(2,), seed=9)
    test = meets(fold, gbsg2())
    model = GaussianNB().fit(covariates()[~test], gbsg2()["cens"][~test])
    expected = accuracy_score(gbsg2()["cens"][test], model.predict(covariates()[test]))
    assert results[1].folds[2].accuracy == pytest.approx(expected)
    assert results[1].folds[2].rows == test.sum()
    assert "fold 2" in results[1].summary()


async def test_a_site_that_is_lost_leaves_folds_of_the_same_rows() -> None:
    sites = split(gbsg2(), 5, 1)
    lossy = await validation().analyse(PlainSum(sites, lost=[set()] * 11 + [{"site-2"}]))
    del sites["site-2"]
    whole = await validation().analyse(PlainSum(sites))
    assert lossy.folds == whole.folds


async def test_bins_are_no_smaller_than_the_sites_show() -> None:
    result = await roc(bins=8, minimum_persons=5).analyse(PlainSum(split(gbsg2(), 4, 1)))
    assert result.rows == 686, "bins that a site would hide are not taken"
    assert len(result.threshold) < 8
    with pytest.raises(NoRowsError, match="use fewer bins"):
        await roc(bins=1000, minimum_persons=100).analyse(PlainSum(split(gbsg2(), 3, 1)))


async def test_without_an_intercept_there_is_no_calibration() -> None:
    model = GLM | {"analysis": "given", "formula": "cens ~ age - 1", "coefficients": [0.01]}
    assert (await roc(model).analyse(PlainSum(split(gbsg2(), 3, 1)))).calibration is None


async def test_predictions_that_are_all_alike_have_half_the_area_and_no_slope() -> None:
    model = GLM | {"analysis": "given", "coefficients": [0.1, 0.0, 0.0]}
    result = await roc(model).analyse(PlainSum(split(gbsg2(), 3, 1)))
    assert (result.auc, result.auc_bounds, result.calibration) == (0.5, (0.0, 1.0), None)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ({"analysis": "cox"}, "use one of given, glm, linear-svm, naive-bayes"),
        (GLM | {"dataset": "other"}, "dataset: give these outside the model only"),
        (GLM | {"formula": "cens ~ ward"}, "the variable ward is not declared"),
        (GLM | {"typo": 1}, "typo"),
        (GLM | {"family": "gaussian"}, "an ROC curve needs an outcome with two classes"),
        (GLM | {"offset": {"column": "tsize", "low": 0, "high": 150}}, "offset"),
        (GLM | {"analysis": "given", "coefficients": [1, 2]}, "coefficient for each of 1, age, tsize; there are 2"),
        (GLM | {"analysis": "given", "coefficients": [1, 2, 1e12]}, "does not fit the declared ranges"),
        (BAYES | {"outcome": {"column": "tgrade", "levels": [1, 2, 3]}}, "3 classes, but must have two"),
    ],
)
async def test_refused(model: dict, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        await roc(model).analyse(PlainSum(split(gbsg2(), 3, 1)))


async def test_a_fold_that_cannot_be_fitted_is_named() -> None:
    model = GLM | {"formula": "cens ~ age + I(age >= 18)"}
    with pytest.raises(FoldError, match=r"fold 0: .*the same value in all rows"):
        await validation(model).analyse(PlainSum(split(gbsg2(), 3, 1)))


RARE = np.random.default_rng(3)  # noqa: TID251 - test data
SCORE = RARE.normal(0, 1, 3000)
EVENT = (RARE.random(3000) < 1 / (1 + np.exp(5 - SCORE))) * 1.0
LOGIT = COMMON | {"row_limit": 3000, "bins": 20}
OF_SCORE = {
    "analysis": "glm",
    "family": "binomial",
    "formula": "y ~ x",
    "numbers": [{"column": "x", "low": -5, "high": 5}, {"column": "y", "low": 0, "high": 1}],
}


async def test_a_rare_outcome_has_bins_where_its_predictions_are() -> None:
    """All predictions are below a few percent: bins of equal width would have an area of 0.58."""
    sites = split({"x": SCORE, "y": EVENT}, 3, 0)
    oracle = roc_auc_score(EVENT, SCORE)
    secure_sum = PlainSum(sites, quantised=True)
    result = await roc(OF_SCORE, **LOGIT).analyse(secure_sum)
    assert result.auc == pytest.approx(oracle, abs=0.01)
    assert result.auc_bounds[0] <= oracle <= result.auc_bounds[1]
    assert result.auc_lower < oracle < result.auc_upper
    assert 20 <= len(result.threshold) <= 22
    assert sum(query.statistic == "histogram" for query in secure_sum.queries) <= 4
    assert result.warnings == ()
    folds = await validation(OF_SCORE, **LOGIT, folds={"of": 3}).analyse(PlainSum(sites))
    assert folds.total.auc == pytest.approx(oracle, abs=0.03)


async def test_few_bins_leave_the_area_open_and_that_is_said() -> None:
    result = await roc(OF_SCORE, **LOGIT | {"bins": 2}).analyse(PlainSum(split({"x": SCORE, "y": EVENT}, 3, 0)))
    assert result.auc_bounds[1] - result.auc_bounds[0] > 0.1
    assert any("use more bins" in text for text in result.warnings)


async def test_a_floor_leaves_as_many_bins_as_the_smaller_class_fills() -> None:
    result = await roc(minimum_persons=5).analyse(PlainSum(split(gbsg2(), 3, 1)))
    assert len(result.threshold) < 20
    assert result.rows > 620
