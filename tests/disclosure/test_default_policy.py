"""What the README offers is answered by sites with the default policy, and equals the pooled result.

Four sites share a data set's rows at random. Each answers by `answer()` and keeps its earlier answers; the sites hide
in the opened sum what is below the floor over all of them; each question follows from the plan. Trusted libraries
compute the same on all rows: in survival analyses on the intervals that the sites merged.
"""

import pytest

from participant.analyses.base.errors import AnalysisError
from participant.analyses.catalogue import ANALYSES
from participant.analyses.descriptive.histogram import HistogramSpec
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
COARSER = {"agreement", "kruskal-wallis", "mann-whitney", "mantel-haenszel", "trend", "wilcoxon"}
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
