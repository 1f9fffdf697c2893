"""What the README offers is answered by sites with the default policy, and equals the pooled result.

Four sites share a data set's rows at random. Each answers by `answer()` and keeps its earlier answers; the sites hide
in the opened sum what is below the floor over all of them; each question follows from the plan. Trusted libraries
compute the same on all rows: in survival analyses on the intervals that the sites merged.
"""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats.contingency import odds_ratio
from sklearn.metrics import roc_auc_score

from participant.analyses.base.errors import AnalysisError
from participant.analyses.catalogue import ANALYSES, parse_spec
from participant.analyses.descriptive.histogram import HistogramSpec
from participant.statistics.language.statistic import Columns
from tests.oracles.case import Case, all_cases
from tests.oracles.data import sites_of
from tests.support.default_sites import DefaultSites

FLOOR = 5
SITES = 4
TOO_SMALL = {"lung"}  # 175 patients in nine hospitals, with levels of single ones
LONG = {"imputation", "cross-validation", "k-means"}  # their questions are those of others, many times
MERGED = {"Hosmer-Lemeshow", "accuracy", "AUC, binned", "AUC of each fold, binned"}
"""Quantities of small groups of risk, which the sites hide or merge."""
OF_RISK = {"logistic", "cross-validation"}
COARSER = {"agreement", "kruskal-wallis", "mann-whitney", "mantel-haenszel", "table-one", "trend", "wilcoxon"}
"""Counts of exact values, of which some are rare: the result says how many persons it covers."""
CASES = [one for one in all_cases() if one.spec.dataset not in TOO_SMALL and not isinstance(one.spec, HistogramSpec)]


def once(cases: list[Case]) -> list[Case]:
    """Return the first case of each name, of long ones one each."""
    found: dict[str, Case] = {}
    for one in cases:
        found.setdefault(one.spec.analysis if one.spec.analysis in LONG else one.name, one)
    return list(found.values())


@pytest.mark.parametrize("one", once(CASES), ids=lambda one: one.id)
async def test_equals_the_pooled_result(one: Case) -> None:
    spec = one.spec.model_copy(update={"minimum_persons": FLOOR})
    sites = DefaultSites(spec, sites_of(spec.dataset, SITES))
    if one.name in COARSER:
        try:
            said = " ".join((await spec.analyse(sites)).warnings)
        except AnalysisError as error:
            said = str(error)
        assert "hidden by all sites together" in said
        return
    agreements = [
        found for found in await one.compare(spec, sites) if one.name not in OF_RISK or found.quantity not in MERGED
    ]
    assert agreements
    for agreement in agreements:
        assert agreement.difference <= agreement.bound, agreement


def test_every_analysis_is_among_them() -> None:
    assert {one.spec.analysis for one in once(CASES)} | {"histogram"} == set(ANALYSES)


def hearts() -> dict[str, Columns]:
    """Four made-up hospitals of the shape of four public tables on heart disease: 920 patients; the third has three
    women and few who are well.
    """
    rng = np.random.default_rng(17)  # noqa: TID251 - made-up patients
    shapes = ((303, 97, 0.46), (294, 81, 0.36), (123, 3, 0.94), (200, 6, 0.75))
    sites = {}
    for number, (rows, women, share) in enumerate(shapes):
        man = np.ones(rows)
        man[:women] = 0
        age = rng.normal(54, 9, rows).clip(28, 77).round()
        logit = np.log(share / (1 - share)) + 1.6 * (man - 0.8) + 0.06 * (age - 54)
        sick = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float64)
        sites[f"site-{number}"] = {"man": man, "age": age, "sick": sick}
    return sites


async def test_a_small_hospital_neither_hides_nor_biases_anything() -> None:
    """Hiding at each site would turn the odds ratio and the area under the curve of such tables into others."""
    sites = hearts()
    rows = {name: np.concatenate([site[name] for site in sites.values()]) for name in ("man", "age", "sick")}
    assert len(rows["age"]) == 920
    common = {"dataset": "heart", "row_limit": 1000}
    sides = {"row": {"column": "man", "levels": [0, 1]}, "column": {"column": "sick", "levels": [0, 1]}}
    table = parse_spec(common | {"analysis": "fisher"} | sides)
    result = await table.analyse(DefaultSites(table, sites))
    counts = np.array([[np.sum((rows["man"] == m) & (rows["sick"] == s)) for s in (0, 1)] for m in (0, 1)])
    assert np.array_equal(result.counts, counts)
    assert result.odds_ratio == pytest.approx(odds_ratio(counts).statistic, rel=1e-6)

    variables = [
        {"column": "man", "low": 0, "high": 1},
        {"column": "age", "low": 20, "high": 90},
        {"column": "sick", "low": 0, "high": 1},
    ]
    logistic = parse_spec(common | {"analysis": "logistic", "formula": "sick ~ man + age", "numbers": variables})
    fit = await logistic.analyse(DefaultSites(logistic, sites))
    design = sm.add_constant(np.column_stack([rows["man"], rows["age"]]))
    oracle = sm.Logit(rows["sick"], design).fit(disp=0, tol=1e-12)
    assert fit.rows == 920
    assert fit.coef == pytest.approx(oracle.params, rel=1e-6)

    model = {"analysis": "glm", "family": "binomial", "formula": "sick ~ man + age", "numbers": variables}
    curve = parse_spec(common | {"analysis": "roc", "model": model, "bins": 40})
    asked = DefaultSites(curve, sites)
    shown = await curve.analyse(asked)
    risk = oracle.predict(design)
    assert shown.rows == 920
    assert shown.auc_bounds[0] <= roc_auc_score(rows["sick"], risk) <= shown.auc_bounds[1]
    bins = np.searchsorted(shown.threshold[1:-1], risk)
    (*_, last) = (values["bin_ends"] for values in asked.values if "bin_ends" in values)
    ends = np.flatnonzero(last)
    binned = roc_auc_score(rows["sick"], np.searchsorted(ends, bins))
    assert shown.auc == pytest.approx(binned, abs=1e-9)
