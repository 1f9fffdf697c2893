"""Stratified, ordered and square tables, compared with statsmodels, scikit-learn and numpy."""

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.contingency_tables import SquareTable, StratifiedTable, mcnemar
from statsmodels.stats.inter_rater import cohens_kappa

from participant.analyses.hypothesis.agreement import AgreementSpec
from participant.analyses.hypothesis.mantel_haenszel import MantelHaenszelSpec
from participant.analyses.hypothesis.trend import TrendSpec
from participant.statistics.language.conditions import AnyOf, Comparison
from participant.statistics.models.design import Category
from tests.oracles.case import Agreement, Sites, case, coefficients, p_values

LUNG = {"dataset": "lung", "row_limit": 1000, "minimum_persons": 1}
GBSG2 = {"dataset": "gbsg2", "row_limit": 1000, "minimum_persons": 1}
ROSSI = {"dataset": "rossi", "row_limit": 1000, "minimum_persons": 1}
ELECTION = {"dataset": "election", "row_limit": 1000, "minimum_persons": 1}
SEVEN = (1, 2, 3, 4, 5, 6, 7)


def some(column: str, *levels: float) -> AnyOf:
    return AnyOf(any=tuple(Comparison(column=column, op="==", value=level) for level in levels))


def counted(rows: pd.DataFrame, one: Category, two: Category) -> np.ndarray:
    return np.array(
        [[((rows[one.column] == i) & (rows[two.column] == j)).sum() for j in two.levels] for i in one.levels], float
    )


@case(
    AgreementSpec(
        first=Category(column="ph.karno", levels=(60, 70, 80, 90, 100)),
        second=Category(column="pat.karno", levels=(60, 70, 80, 90, 100)),
        weights="linear",
        filter=(some("ph.karno", 60, 70, 80, 90, 100), some("pat.karno", 60, 70, 80, 90, 100)),
        **LUNG,
    ),
    AgreementSpec(
        first=Category(column="ClinLR", levels=SEVEN),
        second=Category(column="DoleLR", levels=SEVEN),
        weights="quadratic",
        **ELECTION,
    ),
    AgreementSpec(
        first=Category(column="horTh", levels=(0, 1)), second=Category(column="menostat", levels=(0, 1)), **GBSG2
    ),
)
async def agreement(spec: AgreementSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, spec.first.column, spec.second.column)
    table = counted(rows, spec.first, spec.second)
    weights = None if spec.weights == "none" else spec.weights
    kappa = cohen_kappa_score(rows[spec.first.column], rows[spec.second.column], weights=weights)
    places = np.arange(len(table))
    apart = np.abs(places[:, None] - places) ** {"none": 0, "linear": 1, "quadratic": 2}[spec.weights]
    theirs = cohens_kappa(table, weights=None if weights is None else apart)
    found = [
        coefficients(result.kappa, kappa, "kappa"),
        coefficients(result.se, theirs.std_kappa, "standard error"),
        coefficients(result.z, theirs.z_value, "z"),
    ]
    if len(table) == 2:
        plain, exact = mcnemar(table, exact=False, correction=False), mcnemar(table, exact=True)
        return [
            *found,
            coefficients(result.symmetry_statistic, plain.statistic, "McNemar"),
            p_values(result.exact_p, exact.pvalue),
        ]
    pairs = (table + table.T)[np.triu_indices(len(table), 1)]
    bowker = SquareTable(table[np.ix_(*2 * [places])], shift_zeros=False).symmetry() if pairs.all() else None
    statistic = bowker.statistic if bowker else _bowker(table)
    return [*found, coefficients(result.symmetry_statistic, statistic, "Bowker's test")]


def _bowker(table: np.ndarray) -> float:
    return sum(
        (table[i, j] - table[j, i]) ** 2 / (table[i, j] + table[j, i])
        for i in range(len(table))
        for j in range(i)
        if table[i, j] + table[j, i]
    )


@case(
    MantelHaenszelSpec(
        row=Category(column="sex", levels=(1, 2)),
        column=Category(column="status", levels=(1, 0)),
        strata=(Category(column="ph.ecog", levels=(0, 1, 2)),),
        **LUNG,
    ),
    MantelHaenszelSpec(
        row=Category(column="horTh", levels=(0, 1)),
        column=Category(column="cens", levels=(1, 0)),
        strata=(Category(column="tgrade", levels=(1, 2, 3)), Category(column="menostat", levels=(0, 1))),
        correction=False,
        **GBSG2,
    ),
    MantelHaenszelSpec(
        row=Category(column="fin", levels=(1, 0)),
        column=Category(column="arrest", levels=(1, 0)),
        strata=(Category(column="wexp", levels=(0, 1)), Category(column="mar", levels=(0, 1))),
        **ROSSI,
    ),
)
async def mantel_haenszel(spec: MantelHaenszelSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    strata = [category.column for category in spec.strata]
    rows = sites.rows(spec, spec.row.column, spec.column.column, *strata)
    rows = rows[np.logical_and.reduce([rows[one.column].isin(one.levels) for one in spec.strata])]
    tables = [counted(group, spec.row, spec.column) for _, group in rows.groupby(strata)]
    oracle = StratifiedTable(tables, shift_zeros=False)
    assert result.odds_ratio is not None
    assert result.risk_ratio is not None
    low, high = oracle.oddsratio_pooled_confint()
    null, equal = oracle.test_null_odds(correction=spec.correction), oracle.test_equal_odds(adjust=True)
    return [
        coefficients(result.odds_ratio, (oracle.oddsratio_pooled, low, high), "odds ratio"),
        coefficients(result.risk_ratio.value, oracle.riskratio_pooled, "risk ratio"),
        coefficients(result.statistic, null.statistic, "chi-square"),
        p_values(result.p, null.pvalue),
        coefficients(result.equal_odds_statistic, equal.statistic, "Breslow-Day"),
        p_values(result.equal_p, equal.pvalue, "p of Breslow-Day"),
    ]


@case(
    TrendSpec(event=Category(column="status", levels=(0, 1)), by=Category(column="ph.ecog", levels=(0, 1, 2)), **LUNG),
    TrendSpec(
        event=Category(column="cens", levels=(0, 1)),
        by=Category(column="tgrade", levels=(1, 2, 3)),
        scores=(0, 1, 4),
        **GBSG2,
    ),
    TrendSpec(
        event=Category(column="vote", levels=(0, 1)),
        by=Category(column="PID", levels=(0, 1, 2, 3, 4, 5, 6)),
        **ELECTION,
    ),
)
async def trend(spec: TrendSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = sites.rows(spec, spec.event.column, spec.by.column)
    rows = rows[rows[spec.by.column].isin(spec.by.levels)]
    score = rows[spec.by.column].map(dict(zip(spec.by.levels, spec.scores or spec.by.levels, strict=True)))
    r = np.corrcoef(score, rows[spec.event.column])[0, 1]
    return [coefficients(result.z, np.sqrt(len(rows)) * r, "z")]
