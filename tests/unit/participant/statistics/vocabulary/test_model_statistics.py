"""Model sums, compared with statsmodels, scikit-learn and lifelines at the same point on pooled rows of real tables."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines.statistics import multivariate_logrank_test
from sklearn.naive_bayes import GaussianNB
from statsmodels.miscmodels.ordinal_model import OrderedModel

from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.registry import (
    CLASS_MOMENTS,
    CONTINGENCY,
    COX_RISK_SETS,
    EVENT_COUNTS,
    GLM_SCORE,
    GRAM,
    HINGE,
    HISTOGRAM,
    K_MEANS,
    ORDINAL_SCORE,
)
from participant.statistics.language.statistic import Columns
from participant.statistics.models.design import Category, Design, Numeric
from participant.statistics.models.formula import parse_formula
from participant.statistics.models.outcome import Grid, Outcome
from participant.statistics.vocabulary.histogram import Measured, Predicted
from tests.support.trials import GBSG2, gbsg2, lung
from tests.support.vocabulary import declared

LIMIT = {"row_limit": 1000}
MODEL = parse_formula("~ age + C(tgrade, ref=2) * horTh + sqrt(progrec)", declared(GBSG2)).design
HORMONE = Category(column="horTh", levels=(0, 1))
GRADE = Category(column="tgrade", levels=(1, 2, 3))


def answer(statistic, params, table: Columns) -> dict:
    query = statistic.query(params, dataset="d", value_bits=50)
    return bind(query).layout.unflatten(evaluate(bind(query), table))


def symmetric(upper: np.ndarray) -> np.ndarray:
    p = int((np.sqrt(8 * len(upper) + 1) - 1) / 2)
    matrix = np.zeros((p, p))
    matrix[np.triu_indices(p)] = upper
    return matrix + matrix.T - np.diag(np.diag(matrix))


def covariates(table: Columns) -> np.ndarray:
    """The design of MODEL by hand, (rows, p)."""
    one, three, hormone = table["tgrade"] == 1, table["tgrade"] == 3, table["horTh"] == 1
    return np.column_stack(
        [
            np.ones(len(one)),
            table["age"],
            one,
            three,
            hormone,
            np.sqrt(table["progrec"]),
            one & hormone,
            three & hormone,
        ]
    ).astype(np.float64)


def test_a_design_is_what_its_names_say() -> None:
    names = (
        "1",
        "age",
        "tgrade[1]",
        "tgrade[3]",
        "horTh[1]",
        "progrec^0.5",
        "tgrade[1]:horTh[1]",
        "tgrade[3]:horTh[1]",
    )
    assert MODEL.names == names
    np.testing.assert_array_equal(MODEL.coded(gbsg2()).z.T, covariates(gbsg2()))


def test_gram_is_the_product_of_the_design_with_itself() -> None:
    table = gbsg2()
    weight = Numeric(column="tsize", low=0, high=150)
    result = answer(GRAM, GRAM.Params(design=MODEL, weight=weight, **LIMIT), table)
    x = covariates(table)
    np.testing.assert_allclose(symmetric(result["gram"]), x.T @ (table["tsize"][:, np.newaxis] * x), rtol=1e-12)


FAMILIES = {
    "gaussian": sm.families.Gaussian(),
    "binomial": sm.families.Binomial(),
    "poisson": sm.families.Poisson(),
    "negative-binomial": sm.families.NegativeBinomial(alpha=0.7),
    "gamma": sm.families.Gamma(sm.families.links.Log()),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_of_scoring_is_that_of_statsmodels(family: str) -> None:
    table = gbsg2()
    beta = np.array([0.1, 0.01, -0.2, 0.3, 0.1, 0.02, 0.2, -0.1])
    name = "cens" if family == "binomial" else "pnodes"
    outcome = Numeric(column=name, low=0 if family == "binomial" else 0.5, high=1 if family == "binomial" else 60)
    params = GLM_SCORE.Params(
        family=family,
        alpha=0.7 if family == "negative-binomial" else 0.0,
        design=MODEL,
        coefficients=tuple(beta.tolist()),
        outcome=outcome,
        offset=Numeric(column="age", low=18, high=90, centre=50, scale=100),
        weight=Numeric(column="tsize", low=0, high=150, scale=20),
        limit=30.0,
        **LIMIT,
    )
    result = answer(GLM_SCORE, params, table)
    x, w, y = covariates(table), table["tsize"] / 20, table[name]
    model = sm.GLM(y, x, FAMILIES[family], offset=(table["age"] - 50) / 100, var_weights=w)
    mean = model.predict(beta, offset=model.offset)
    np.testing.assert_allclose(result["score"], model.score(beta, scale=1.0), rtol=1e-9, atol=1e-9 * len(y))
    np.testing.assert_allclose(
        symmetric(result["information"]), -model.hessian(beta, scale=1.0, observed=False), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(result["deviance"], model.family.deviance(y, mean, w, scale=1.0), rtol=1e-9)
    np.testing.assert_allclose(result["pearson"], (w * (y - mean) ** 2 / model.family.variance(mean)).sum(), rtol=1e-9)
    np.testing.assert_allclose(result["weights"], w.sum(), rtol=1e-12)
    assert (result["rows"], result["beyond"]) == (len(y), 0)
    if family in {"binomial", "poisson", "negative-binomial"}:
        np.testing.assert_allclose(
            result["own"] - result["deviance"] / 2, model.family.loglike(y, mean, w, scale=1.0), rtol=1e-9
        )
    elif family == "gamma":
        np.testing.assert_allclose(result["own"], w @ np.log(y), rtol=1e-9)


def test_a_row_beyond_the_limit_is_counted() -> None:
    table = {"x": np.array([1.0, 2.0, 30.0]), "y": np.array([0.0, 1.0, 1.0])}
    params = GLM_SCORE.Params(
        family="binomial",
        alpha=0.0,
        design=Design(terms=((Numeric(column="x", low=0, high=25),),)),
        coefficients=(1.0,),
        outcome=Numeric(column="y", low=0, high=1),
        offset=None,
        weight=None,
        limit=20.0,
        **LIMIT,
    )
    result = answer(GLM_SCORE, params, table)
    assert result["beyond"] == 1
    assert result["outside"].tolist() == [1, 0]


def test_proportional_odds_are_those_of_statsmodels() -> None:
    table = gbsg2()
    model = parse_formula("~ scale(age, 50, 10) + horTh + scale(tsize, 30, 15) - 1", declared(GBSG2)).design
    beta, cuts = np.array([0.2, -0.1, -0.3, 0.25]), np.array([-1.5, 0.9])
    params = ORDINAL_SCORE.Params(
        design=model,
        coefficients=tuple(beta.tolist()),
        weight=None,
        outcome=GRADE,
        cuts=tuple(cuts.tolist()),
        limit=30.0,
        **LIMIT,
    )
    result = answer(ORDINAL_SCORE, params, table)
    oracle = OrderedModel(
        pd.Series(table["tgrade"]).astype("category").cat.as_ordered(),
        model.coded(table).z.T,
        distr="logit",
        hasconst=False,
    )

    def log_likelihood(theta: np.ndarray) -> float:
        """In the coefficients and cuts themselves; statsmodels takes logarithms of the distances of the cuts."""
        return float(oracle.loglike(np.concatenate([theta[:4], [theta[4], np.log(theta[5] - theta[4])]])))

    at = np.concatenate([beta, cuts])
    np.testing.assert_allclose(result["log_likelihood"], log_likelihood(at), rtol=1e-12)
    step = 1e-4 * np.eye(6)
    score = np.array([log_likelihood(at + h) - log_likelihood(at - h) for h in step]) / 2e-4
    np.testing.assert_allclose(np.concatenate([result["score"], result["cut_score"]]), score, rtol=1e-6, atol=1e-5)
    hessian = (
        np.array(
            [
                [
                    log_likelihood(at + g + h)
                    - log_likelihood(at + g - h)
                    - log_likelihood(at - g + h)
                    + log_likelihood(at - g - h)
                    for h in step
                ]
                for g in step
            ]
        )
        / 4e-8
    )
    np.testing.assert_allclose(symmetric(result["cross"]), -hessian[:4, :4], rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(result["cut_cross"], -hessian[:4, 4:], rtol=1e-4, atol=1e-2)
    a, b, between = result["cut_cut"]
    np.testing.assert_allclose([[a, between], [between, b]], -hessian[4:, 4:], rtol=1e-4, atol=1e-2)
    assert result["levels"].tolist() == [np.count_nonzero(table["tgrade"] == grade) for grade in (1, 2, 3)]


def test_contingency_is_a_cross_table() -> None:
    table = gbsg2()
    result = answer(CONTINGENCY, CONTINGENCY.Params(by=(GRADE, HORMONE), **LIMIT), table)
    expected = pd.crosstab(pd.Series(table["tgrade"]), pd.Series(table["horTh"])).to_numpy()
    np.testing.assert_array_equal(result["counts"][:3, :2], expected)
    assert result["counts"].sum() == expected.sum()


def test_unknown_codes_have_a_cell_of_their_own() -> None:
    params = CONTINGENCY.Params(by=(Category(column="x", levels=(3, 1)),), **LIMIT)
    assert answer(CONTINGENCY, params, {"x": np.array([1.0, 3.0, 3.0, 2.0, 9.0])})["counts"].tolist() == [2, 1, 2]


def test_class_moments_are_what_naive_bayes_learns() -> None:
    table = gbsg2()
    variables = (Numeric(column="age", low=18, high=90), Numeric(column="tsize", low=0, high=150))
    params = CLASS_MOMENTS.Params(by=(GRADE,), variables=variables, dominance=1.0, **LIMIT)
    result = answer(CLASS_MOMENTS, params, table)
    n, shift = result["counts"][:3], result["sums"][:, :3] / result["counts"][:3]
    oracle = GaussianNB(var_smoothing=0).fit(np.column_stack([table["age"], table["tsize"]]), table["tgrade"])
    np.testing.assert_array_equal(n, oracle.class_count_)
    np.testing.assert_allclose((params.middles[:, np.newaxis] + shift).T, oracle.theta_)
    np.testing.assert_allclose((result["squares"][:, :3] / n - shift**2).T, oracle.var_)


def test_a_dominated_cell_is_left_out() -> None:
    table = {"g": np.array([0.0] * 4 + [1.0] * 4), "x": np.array([1.0, 1, 1, 97, 20, 30, 25, 25])}
    variables = (Numeric(column="x", low=0, high=100),)
    params = CLASS_MOMENTS.Params(
        by=(Category(column="g", levels=(0, 1)),), variables=variables, dominance=0.8, **LIMIT
    )
    result = answer(CLASS_MOMENTS, params, table)
    assert (result["counts"].tolist(), float(result["dominated"])) == ([0, 4, 0], 1)
    np.testing.assert_allclose(result["sums"][0], [0, -100, 0])


def test_counts_below_thresholds_are_exact() -> None:
    table = gbsg2()
    quantity = Measured(column="age", low=18, high=90)
    params = HISTOGRAM.Params(quantity=quantity, by=(), origin=0.0, width=0.5, edges=(80, 100, 121), sums=True, **LIMIT)
    result = answer(HISTOGRAM, params, table)
    below = [np.count_nonzero(table["age"] <= edge) for edge in (40, 50, 60.5)]
    assert np.cumsum(result["counts"])[:3].tolist() == below
    np.testing.assert_allclose(result["sums"].sum(), table["age"].sum())


def test_a_histogram_of_predicted_risk_by_outcome_gives_the_roc_curve() -> None:
    table = gbsg2()
    risk = Predicted(
        what="mean",
        family="binomial",
        alpha=0.0,
        design=Design(terms=((), (Numeric(column="pnodes", low=0, high=60),))),
        coefficients=(-1.0, 0.2),
        offset=None,
        outcome=None,
        low=0.0,
        high=1.0,
    )
    event = Category(column="cens", levels=(0, 1))
    edges = tuple(range(1, 99))
    params = HISTOGRAM.Params(quantity=risk, by=(event,), origin=0.003, width=0.01, edges=edges, sums=True, **LIMIT)
    result = answer(HISTOGRAM, params, table)
    score = 1 / (1 + np.exp(1 - 0.2 * table["pnodes"]))
    for group in (0, 1):
        its = score[table["cens"] == group]
        expected = np.histogram(its, [0, *(0.003 + 0.01 * np.array(edges)), 1.0])[0]
        np.testing.assert_array_equal(result["counts"][group], expected)
        np.testing.assert_allclose(result["sums"][group].sum(), (its - 0.003).sum())


@pytest.mark.parametrize("what", ["linear", "residual", "pearson"])
def test_a_histogram_of_residuals(what: str) -> None:
    table = gbsg2()
    x, beta = covariates(table), np.array([1.0, 0.005, 0, 0, 0, 0.01, 0, 0])
    quantity = Predicted(
        what=what,
        family="poisson",
        alpha=0.0,
        design=MODEL,
        coefficients=tuple(beta.tolist()),
        offset=None,
        outcome=None if what == "linear" else Numeric(column="pnodes", low=0, high=60),
        low=-10.0,
        high=40.0,
    )
    edges = tuple(range(-9, 40))
    params = HISTOGRAM.Params(quantity=quantity, by=(), origin=0.2537, width=1.0, edges=edges, sums=False, **LIMIT)
    mean = np.exp(x @ beta)
    value = {
        "linear": x @ beta,
        "residual": table["pnodes"] - mean,
        "pearson": (table["pnodes"] - mean) / np.sqrt(mean),
    }
    expected = np.histogram(value[what], [-np.inf, *(np.array(edges) + 0.2537), np.inf])[0]
    np.testing.assert_array_equal(answer(HISTOGRAM, params, table)["counts"], expected)


def test_event_counts_by_group_give_the_log_rank_test() -> None:
    table = gbsg2()
    outcome = Outcome(time="time", event="cens", grid=Grid(width=1, count=3000))
    result = answer(EVENT_COUNTS, EVENT_COUNTS.Params(outcome=outcome, by=(HORMONE,), **LIMIT), table)
    d, n = result["events"][:2], result["at_risk"][:2]
    all_d, all_n = d.sum(axis=0), n.sum(axis=0)
    some = all_n > 1
    expected = n[1, some] * all_d[some] / all_n[some]
    share = n[1, some] / all_n[some]
    variance = all_d[some] * share * (1 - share) * (all_n[some] - all_d[some]) / (all_n[some] - 1)
    statistic = (d[1, some] - expected).sum() ** 2 / variance.sum()
    oracle = multivariate_logrank_test(table["time"], table["horTh"], table["cens"])
    np.testing.assert_allclose(statistic, oracle.test_statistic, rtol=1e-9)


def test_risk_sets_of_a_stratum_are_those_of_its_rows_alone() -> None:
    table = lung()
    grid = Grid(width=91, count=8)
    base = {
        "outcome": Outcome(time="time", event="status", grid=grid),
        "design": Design(terms=((Numeric(column="age", low=18, high=100, centre=60, scale=10),),)),
        "beta": (0.3,),
        "log_weight_limit": 5.0,
        "event_ends": (),
        "censored_ends": (),
        **LIMIT,
    }
    sex = Category(column="sex", levels=(1, 2))
    both = (1, 3, 8)
    at = both + tuple(k + 10 for k in both)
    trend = tuple(float(k) for k in at)
    params = COX_RISK_SETS.Params(strata=(sex,), at=at, tied=at[1::2], trend=trend, **base)
    stratified = answer(COX_RISK_SETS, params, table)
    for stratum, code in enumerate((1, 2)):
        part = slice(3 * stratum, 3 * stratum + 3)
        rows = {name: column[table["sex"] == code] for name, column in table.items()}
        alone = answer(
            COX_RISK_SETS, COX_RISK_SETS.Params(strata=(), at=both, tied=(), trend=trend[part], **base), rows
        )
        for name in ("events", "risk0", "risk1", "risk2"):
            np.testing.assert_allclose(stratified[name][..., part], alone[name], rtol=1e-12, err_msg=name)
        stratified["event_sum"] -= alone["event_sum"]
        stratified["event_trend"] -= alone["event_trend"]
    np.testing.assert_allclose([stratified["event_sum"], stratified["event_trend"]], 0, atol=1e-9)


def test_a_step_of_k_means() -> None:
    table = gbsg2()
    variables = (
        Numeric(column="age", low=18, high=90, centre=50, scale=10),
        Numeric(column="tsize", low=0, high=150, centre=30, scale=15),
    )
    centres = ((-1.0, 0.0), (0.5, 0.0), (0.0, 2.0))
    result = answer(K_MEANS, K_MEANS.Params(variables=variables, centres=centres, **LIMIT), table)
    z = np.column_stack([(table["age"] - 50) / 10, (table["tsize"] - 30) / 15])
    distance = ((z[:, np.newaxis] - np.array(centres)) ** 2).sum(axis=2)
    nearest = distance.argmin(axis=1)
    for centre in range(3):
        assert result["counts"][centre] == np.count_nonzero(nearest == centre)
        np.testing.assert_allclose(result["sums"][:, centre], z[nearest == centre].sum(axis=0))
        np.testing.assert_allclose(result["distance"][centre], distance[nearest == centre, centre].sum())


@pytest.mark.parametrize("loss", ["hinge", "squared-hinge"])
def test_hinge_sums_are_derivatives_of_their_loss(loss: str) -> None:
    table = gbsg2()
    beta = np.array([0.1013, 0.01, -0.2, 0.3, 0.1, 0.02, 0.2, -0.1])
    x, s = covariates(table), 2 * table["cens"] - 1

    def at(b: np.ndarray) -> dict:
        outcome = Numeric(column="cens", low=0, high=1)
        params = HINGE.Params(
            design=MODEL, coefficients=tuple(b.tolist()), weight=None, outcome=outcome, loss=loss, **LIMIT
        )
        return answer(HINGE, params, table)

    result, h = at(beta), np.maximum(0, 1 - s * (x @ beta))
    np.testing.assert_allclose(result["loss"], (h if loss == "hinge" else h * h).sum())
    assert result["active"] == np.count_nonzero(h)
    step = 1e-7 * np.eye(8)
    slope = [(at(beta + d)["loss"] - at(beta - d)["loss"]) / 2e-7 for d in step]
    np.testing.assert_allclose(result["gradient"], slope, rtol=1e-4, atol=0.1)
    if loss == "squared-hinge":
        active = x[h > 0]
        np.testing.assert_allclose(symmetric(result["curvature"]), 2 * active.T @ active)
