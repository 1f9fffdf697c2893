"""Rank tests and correlations, compared with scipy."""

from itertools import combinations

import numpy as np
from scipy import stats

from participant.analyses.hypothesis.rank_test import RankTestSpec
from participant.analyses.hypothesis.signed_rank import SignedRankSpec
from participant.analyses.hypothesis.spearman import Ranked, SpearmanSpec
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients, p_values

LUNG = {"dataset": "lung", "row_limit": 1000, "minimum_persons": 1}
GBSG2 = {"dataset": "gbsg2", "row_limit": 1000, "minimum_persons": 1}
ROSSI = {"dataset": "rossi", "row_limit": 1000, "minimum_persons": 1}
ELECTION = {"dataset": "election", "row_limit": 1000, "minimum_persons": 1}


@case(
    RankTestSpec(
        variable=Variable(column="age", low=18, high=100), width=1, by=Category(column="sex", levels=(1, 2)), **LUNG
    ),
    RankTestSpec(
        variable=Variable(column="tsize", low=0, high=150),
        width=1,
        by=Category(column="horTh", levels=(0, 1)),
        alternative="less",
        **GBSG2,
    ),
    RankTestSpec(
        variable=Variable(column="prio", low=0, high=18),
        width=1,
        by=Category(column="arrest", levels=(1, 0)),
        alternative="greater",
        **ROSSI,
    ),
)
async def mann_whitney(spec: RankTestSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, spec.variable.column, spec.by.column)
    one, two = (rows[spec.variable.column][rows[spec.by.column] == level] for level in spec.by.levels)
    oracle = stats.mannwhitneyu(one, two, alternative=spec.alternative, method="asymptotic")
    return [coefficients(result.u_statistic, oracle.statistic, "U"), p_values(result.u_p, oracle.pvalue)]


@case(
    RankTestSpec(
        variable=Variable(column="wt.loss", low=-50, high=100),
        width=1,
        by=Category(column="ph.ecog", levels=(0, 1, 2)),
        **LUNG,
    ),
    RankTestSpec(
        variable=Variable(column="pnodes", low=0, high=60),
        width=1,
        by=Category(column="tgrade", levels=(1, 2, 3)),
        **GBSG2,
    ),
    RankTestSpec(
        variable=Variable(column="age", low=18, high=100),
        width=1,
        by=Category(column="PID", levels=(0, 1, 2, 3, 4, 5, 6)),
        **ELECTION,
    ),
)
async def kruskal_wallis(spec: RankTestSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, spec.variable.column, spec.by.column)
    oracle = stats.kruskal(*(rows[spec.variable.column][rows[spec.by.column] == level] for level in spec.by.levels))
    return [coefficients(result.h_statistic, oracle.statistic, "H"), p_values(result.p, oracle.pvalue)]


@case(
    SignedRankSpec(
        variable=Variable(column="ph.karno", low=0, high=100),
        paired_with=Variable(column="pat.karno", low=0, high=100),
        width=10,
        **LUNG,
    ),
    SignedRankSpec(
        variable=Variable(column="progrec", low=0, high=2500),
        paired_with=Variable(column="estrec", low=0, high=1500),
        width=4,
        alternative="greater",
        **GBSG2,
    ),
    SignedRankSpec(
        variable=Variable(column="ClinLR", low=1, high=7),
        paired_with=Variable(column="DoleLR", low=1, high=7),
        width=1,
        alternative="less",
        **ELECTION,
    ),
)
async def wilcoxon(spec: SignedRankSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, spec.variable.column, spec.paired_with.column)
    # On the grid: values in the middle between two of its points belong to the lower one.
    off = (rows[spec.variable.column] - rows[spec.paired_with.column]) / spec.width
    oracle = stats.wilcoxon(-((0.5 - off) // 1), alternative=spec.alternative, method="approx", correction=False)
    w = result.statistic
    if spec.alternative == "two-sided":  # scipy gives the smaller sum
        w = min(one.rank_sum for one in result.signs if one.rank_sum is not None)
    return [
        coefficients(w, oracle.statistic, "W"),
        coefficients(abs(result.z), abs(oracle.zstatistic), "z"),
        p_values(result.p, oracle.pvalue),
    ]


@case(
    SpearmanSpec(
        variables=(
            Ranked(column="age", low=18, high=100, width=1),
            Ranked(column="wt.loss", low=-50, high=100, width=1),
            Ranked(column="ph.karno", low=0, high=100, width=10),
        ),
        **LUNG,
    ),
    SpearmanSpec(
        variables=(
            Ranked(column="pnodes", low=0, high=60, width=1),
            Ranked(column="estrec", low=0, high=1500, width=5),
            Ranked(column="tgrade", low=1, high=3, width=1),
        ),
        **GBSG2,
    ),
    SpearmanSpec(
        variables=(Ranked(column="income", low=1, high=24, width=1), Ranked(column="PID", low=0, high=6, width=1)),
        **ELECTION,
    ),
)
async def spearman(spec: SpearmanSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, *(one.column for one in spec.variables))
    on_grid = [np.ceil((rows[one.column] - one.low) / one.width) for one in spec.variables]
    oracle = [stats.spearmanr(x, y) for x, y in combinations(on_grid, 2)]
    return [
        coefficients([pair.r for pair in result.pairs], [one.statistic for one in oracle]),
        p_values([pair.p for pair in result.pairs], [one.pvalue for one in oracle]),
    ]
