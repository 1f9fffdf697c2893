"""Survival analyses, compared with lifelines and statsmodels on the specification's grid."""

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test, proportional_hazard_test
from lifelines.utils import restricted_mean_survival_time
from scipy import stats
from scipy.stats import chi2
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import survdiff

from coordinator.demo.pooled import pooled_cox, pooled_kaplan_meier
from participant.analyses.base.spec import SurvivalSpec
from participant.analyses.survival.cox import CoxSpec
from participant.analyses.survival.kaplan_meier import KaplanMeierSpec
from participant.analyses.survival.log_rank import LogRankSpec
from participant.analyses.survival.rmst import RmstSpec
from participant.statistics.models.design import Category
from tests.oracles.case import Agreement, Sites, case, coefficients, p_values
from tests.support.trials import GBSG2, LUNG, ROSSI

COX = tuple(spec.model_copy(update={"minimum_persons": 1}) for spec in (LUNG, ROSSI, GBSG2))
CURVES = tuple(
    KaplanMeierSpec(
        dataset=spec.dataset,
        time=spec.time,
        event=spec.event,
        grid=spec.grid,
        row_limit=spec.row_limit,
        minimum_persons=1,
    )
    for spec in COX
)


@case(*COX)
async def cox(spec: CoxSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    expected = pooled_cox(sites.pooled(), spec)
    return [
        coefficients(result.coef, expected.coef),
        coefficients(result.se, expected.se, "standard errors"),
        p_values(result.p, expected.p),
    ]


STRATA = {
    "lung": (Category(column="sex", levels=(1, 2)), Category(column="ph.karno", levels=(50, 60, 70, 80, 90, 100))),
    "rossi": (Category(column="wexp", levels=(0, 1)),),
    "gbsg2": (Category(column="tgrade", levels=(1, 2, 3)),),
}
TO_THE_END = {"precision": 1e-13, "r_precision": 1e-13}


def stratified(spec: CoxSpec, **changes) -> CoxSpec:
    strata = STRATA[spec.dataset]
    names = {category.column for category in strata}
    left = tuple(one for one in spec.covariates if one.column not in names)
    return spec.model_copy(update={"covariates": left, "strata": strata, **changes})


def on_grid(spec: SurvivalSpec, sites: Sites, *columns: str) -> pd.DataFrame:
    """Return the complete rows, their times on the grid."""
    rows = sites.rows(spec, spec.time, spec.event, *columns)
    late = rows[spec.time] > spec.grid.width * spec.grid.count
    rows[spec.time] = np.ceil(rows[spec.time] / spec.grid.width).clip(upper=spec.grid.count) * spec.grid.width
    rows.loc[late, spec.event] = 0.0
    return rows


def strata_of(spec: CoxSpec | LogRankSpec) -> list[str]:
    return [category.column for category in spec.strata]


@case(*(spec.model_copy(update={"ties": "breslow"}) for spec in COX), *(stratified(one, ties="breslow") for one in COX))
async def cox_breslow(spec: CoxSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = on_grid(spec, sites, *spec.names, *strata_of(spec))
    strata = rows.groupby(strata_of(spec)).ngroup() if spec.strata else None
    model = PHReg(rows[spec.time], rows[list(spec.names)], rows[spec.event], strata=strata, ties="breslow")
    oracle = model.fit(start_params=result.coef, tol=1e-14)
    return [
        coefficients(result.coef, oracle.params),
        coefficients(result.se, oracle.bse, "standard errors"),
        p_values(result.p, oracle.pvalues),
        coefficients(result.log_likelihood, oracle.llf, "log-likelihood"),
    ]


@case(*(stratified(spec) for spec in COX))
async def cox_strata(spec: CoxSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = on_grid(spec, sites, *spec.names, *strata_of(spec))
    oracle = CoxPHFitter().fit(rows, spec.time, spec.event, strata=strata_of(spec), fit_options=TO_THE_END)
    return [
        coefficients(result.coef, oracle.params_[list(spec.names)]),
        coefficients(result.se, oracle.standard_errors_[list(spec.names)], "standard errors"),
        p_values(result.p, oracle.summary.loc[list(spec.names), "p"]),
    ]


TESTED = [
    spec.model_copy(update={"proportional_hazards": g})
    for spec, g in ((COX[0], "identity"), (COX[0], "log"), (COX[0], "km"), (COX[1], "km"), (COX[2], "log"))
]


@case(*TESTED, *(stratified(spec, proportional_hazards="identity") for spec in COX[:2]))
async def schoenfeld_residuals(spec: CoxSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = on_grid(spec, sites, *spec.names, *strata_of(spec))
    fit = CoxPHFitter().fit(rows, spec.time, spec.event, strata=strata_of(spec) or None, fit_options=TO_THE_END)
    ordered = rows.sort_values([*strata_of(spec), spec.time]) if spec.strata else rows
    oracle = proportional_hazard_test(fit, ordered, time_transform=spec.proportional_hazards).summary.loc[
        list(spec.names)
    ]
    tests = result.proportional_hazards
    return [
        coefficients(tests.residual, oracle["test_statistic"], f"test of residuals, {tests.transform}"),
        p_values(tests.residual_p, oracle["p"], f"its p-value, {tests.transform}"),
    ]


@case(*(spec.model_copy(update={"proportional_hazards": "log"}) for spec in COX[:2]))
async def proportional_hazards_score(spec: CoxSpec, sites: Sites) -> list[Agreement]:
    """The score test of covariates that change with time, each patient cut at the times of all events."""
    result = await spec.analyse(sites)
    rows = on_grid(spec, sites, *spec.names)
    ends = np.unique(rows.loc[rows[spec.event] == 1, spec.time])
    pieces = rows.loc[rows.index.repeat([np.searchsorted(ends, time) + 1 for time in rows[spec.time]])]
    piece = pieces.groupby(level=0).cumcount().to_numpy()
    stops = np.minimum(np.append(ends, np.inf)[piece], pieces[spec.time])
    starts = np.append(0.0, ends)[piece] + spec.grid.width / 2  # on no event time, where libraries differ
    died = np.where(stops == pieces[spec.time], pieces[spec.event], 0.0)
    known = starts < stops
    z = pieces[list(spec.names)].to_numpy()
    p, oracles = z.shape[1], []
    for moving in [[j] for j in range(p)] + [list(range(p))]:
        x = np.column_stack([z, z[:, moving] * np.log(stops.to_numpy())[:, np.newaxis]])[known]
        model = PHReg(stops[known], x, died[known], entry=starts[known], ties="efron")
        at = np.append(result.coef, np.zeros(len(moving)))
        score = model.score(at)
        oracles.append(float(score @ np.linalg.solve(-model.hessian(at), score)))
    tests = result.proportional_hazards
    return [
        coefficients([*tests.score, tests.overall], oracles, "score tests"),
        p_values([*tests.score_p, tests.overall_p], [*chi2.sf(oracles[:-1], 1), chi2.sf(oracles[-1], p)]),
    ]


@case(*CURVES)
async def kaplan_meier(spec: KaplanMeierSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    expected = pooled_kaplan_meier(sites.pooled(), spec)
    at = np.searchsorted(result.times, expected.times)
    some = expected.survival > 0  # where nobody survives there is no band, and lifelines makes one up
    return [
        p_values(result.survival[at], expected.survival, "survival"),
        p_values(result.lower[at[some]], expected.lower[some], "lower band"),
        p_values(result.upper[at[some]], expected.upper[some], "upper band"),
    ]


GROUPS = {
    "lung": Category(column="ph.ecog", levels=(0, 1, 2)),
    "rossi": Category(column="fin", levels=(0, 1)),
    "gbsg2": Category(column="horTh", levels=(0, 1)),
}


def groups(curve: KaplanMeierSpec, **changes) -> LogRankSpec:
    return LogRankSpec(**curve.model_dump(exclude={"analysis"}), group=GROUPS[curve.dataset], **changes)


@case(*(groups(curve, weighting=w) for curve in CURVES for w in ("log-rank", "wilcoxon", "tarone-ware")))
async def log_rank(spec: LogRankSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    rows = on_grid(spec, sites, spec.group.column)
    rows = rows[rows[spec.group.column].isin(spec.group.levels)]
    weighting = None if spec.weighting == "log-rank" else spec.weighting
    oracle = multivariate_logrank_test(rows[spec.time], rows[spec.group.column], rows[spec.event], weightings=weighting)
    agreements = [
        coefficients(result.statistic, oracle.test_statistic, f"statistic, {spec.weighting}"),
        p_values(result.p, oracle.p_value, f"p-value, {spec.weighting}"),
    ]
    for level, curve in zip(spec.group.levels, result.curves, strict=True):
        one = KaplanMeierSpec(**spec.model_dump(exclude={"analysis", "group", "strata", "weighting"}))
        table = {name: column[sites.pooled()[spec.group.column] == level] for name, column in sites.pooled().items()}
        expected = pooled_kaplan_meier(table, one)
        at = np.searchsorted(curve.times, expected.times)
        agreements.append(p_values(curve.survival[at], expected.survival, "survival"))
    return agreements


@case(*(groups(curve, strata=STRATA[curve.dataset]) for curve in CURVES))
async def log_rank_stratified(spec: LogRankSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    strata = strata_of(spec)
    rows = on_grid(spec, sites, spec.group.column, *strata)
    rows = rows[rows[spec.group.column].isin(spec.group.levels)]
    statistic, p = survdiff(
        rows[spec.time].to_numpy(),
        rows[spec.event].to_numpy(),
        rows[spec.group.column].to_numpy(),
        strata=rows.groupby(strata).ngroup().to_numpy(),
    )
    return [coefficients(result.statistic, statistic, "statistic"), p_values(result.p, p, "p-value")]


def restricted(curve: KaplanMeierSpec) -> RmstSpec:
    horizon = 0.6 * curve.grid.width * curve.grid.count
    return RmstSpec(**curve.model_dump(exclude={"analysis"}), group=GROUPS[curve.dataset], horizon=horizon)


@case(*(restricted(curve) for curve in CURVES))
async def rmst(spec: RmstSpec, sites: Sites) -> list[Agreement]:
    """The means are those of lifelines; their variance is written out, as lifelines has that of the times instead."""
    result = await spec.analyse(sites)
    assert spec.group is not None
    rows = on_grid(spec, sites, spec.group.column)
    means, variances = [], []
    for level in spec.group.levels:
        group = rows[rows[spec.group.column] == level]
        fit = KaplanMeierFitter().fit(group[spec.time], group[spec.event])
        means.append(restricted_mean_survival_time(fit, t=spec.horizon))
        deaths = fit.event_table[(fit.event_table["observed"] > 0) & (fit.event_table.index < spec.horizon)]
        left = [means[-1] - restricted_mean_survival_time(fit, t=time) for time in deaths.index]
        d, n = deaths["observed"].to_numpy(), deaths["at_risk"].to_numpy()
        variances.append(float((np.square(left) * d / (n * (n - d))).sum()))
    difference = np.array(means[1:]) - means[0]
    return [
        coefficients([one.rmst for one in result.groups], means, "restricted means"),
        coefficients([one.se for one in result.groups], np.sqrt(variances), "standard errors"),
        coefficients([one.difference for one in result.groups[1:]], difference, "differences"),
        p_values(
            [one.p for one in result.groups[1:]],
            2 * stats.norm.sf(np.abs(difference) / np.sqrt(np.array(variances[1:]) + variances[0])),
        ),
    ]
