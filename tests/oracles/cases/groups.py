"""Tests of means and tables, compared with scipy and statsmodels."""

import pandas as pd
import statsmodels.api as sm
from scipy import stats
from scipy.stats.contingency import odds_ratio
from statsmodels.formula.api import ols
from statsmodels.stats.oneway import anova_oneway

from participant.analyses.hypothesis.anova import AnovaSpec
from participant.analyses.hypothesis.chi_square import ChiSquareSpec
from participant.analyses.hypothesis.fisher import FisherSpec
from participant.analyses.hypothesis.t_test import TTestSpec
from participant.statistics.language.conditions import Comparison
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients, p_values

LUNG = {"dataset": "lung", "row_limit": 1000, "minimum_persons": 1}
GBSG2 = {"dataset": "gbsg2", "row_limit": 1000, "minimum_persons": 1}
AGE = Variable(column="age", low=18, high=100)
SEX = Category(column="sex", levels=(1, 2))
ECOG = Category(column="ph.ecog", levels=(0, 1, 2, 3))
SIZE = Variable(column="tsize", low=0, high=150)
HORMONE = Category(column="horTh", levels=(0, 1))
GRADE = Category(column="tgrade", levels=(1, 2, 3))
T_TESTS = tuple(
    TTestSpec(kind=kind, **beside)
    for beside in (LUNG | {"variable": AGE, "by": SEX}, GBSG2 | {"variable": SIZE, "by": HORMONE})
    for kind in ("two-sample", "welch")
)
ONE_SAMPLE = (
    TTestSpec(kind="one-sample", variable=AGE, null=60.0, **LUNG),
    TTestSpec(kind="one-sample", variable=SIZE, null=30.0, alternative="less", **GBSG2),
    TTestSpec(
        kind="paired",
        variable=Variable(column="ph.karno", low=0, high=100),
        paired_with=Variable(column="pat.karno", low=0, high=100),
        **LUNG,
    ),
    TTestSpec(
        kind="paired",
        variable=Variable(column="progrec", low=0, high=3000),
        paired_with=Variable(column="estrec", low=0, high=1500),
        alternative="greater",
        **GBSG2,
    ),
)


@case(*T_TESTS)
async def t_test_of_two_groups(spec: TTestSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    assert spec.by is not None
    rows = sites.rows(spec, spec.variable.column, spec.by.column)
    groups = [rows[spec.variable.column][rows[spec.by.column] == level] for level in spec.by.levels]
    return _same_test(spec, result, stats.ttest_ind(*groups, equal_var=spec.kind == "two-sample"))


@case(*ONE_SAMPLE)
async def t_test_of_one_mean(spec: TTestSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    if spec.paired_with is None:
        rows = sites.rows(spec, spec.variable.column)
        values = rows[spec.variable.column]
    else:
        rows = sites.rows(spec, spec.variable.column, spec.paired_with.column)
        values = rows[spec.variable.column] - rows[spec.paired_with.column]
    return _same_test(spec, result, stats.ttest_1samp(values, spec.null, alternative=spec.alternative))


def _same_test(spec: TTestSpec, result, oracle) -> list[Agreement]:
    interval = oracle.confidence_interval()
    return [
        coefficients(result.statistic, oracle.statistic, f"t, {spec.kind}"),
        coefficients(result.df, oracle.df, f"degrees of freedom, {spec.kind}"),
        coefficients([result.lower, result.upper], [interval.low, interval.high], f"interval, {spec.kind}"),
        p_values(result.p, oracle.pvalue, f"p-value, {spec.kind}"),
    ]


ONE_WAY = (
    AnovaSpec(outcome=AGE, by=(ECOG,), filter=(Comparison(column="ph.ecog", op="<", value=3.0),), **LUNG),
    AnovaSpec(outcome=SIZE, by=(GRADE,), **GBSG2),
)
TWO_WAY = tuple(
    AnovaSpec(outcome=outcome, by=by, type=type_, interaction=interaction, **beside)
    for outcome, by, beside in (
        (AGE, (Category(column="ph.ecog", levels=(0, 1, 2)), SEX), LUNG),
        (SIZE, (GRADE, HORMONE), GBSG2),
    )
    for type_, interaction in ((1, True), (2, True), (3, True), (2, False))
)


@case(*ONE_WAY)
async def anova_of_one_factor(spec: AnovaSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    (factor,) = spec.by
    rows = sites.rows(spec, spec.outcome.column, factor.column)
    groups = [part[spec.outcome.column].to_numpy() for _, part in rows.groupby(factor.column)]
    oracle, bartlett = stats.f_oneway(*groups), stats.bartlett(*groups)
    welch = anova_oneway(groups, use_var="unequal")
    assert result.welch is not None
    assert result.bartlett is not None
    return [
        coefficients(result.sources[0].f, oracle.statistic, "F"),
        coefficients([*result.welch.df, result.welch.statistic], [*welch.df, welch.statistic], "Welch's F"),
        coefficients(result.bartlett.statistic, bartlett.statistic, "Bartlett's statistic"),
        p_values(
            [result.sources[0].p, result.welch.p, result.bartlett.p], [oracle.pvalue, welch.pvalue, bartlett.pvalue]
        ),
    ]


@case(*TWO_WAY)
async def anova_of_two_factors(spec: AnovaSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    first, second = (factor.column for factor in spec.by)
    rows = sites.rows(spec, spec.outcome.column, first, second)
    rows.columns = ["y", "a", "b"]
    kept = rows[rows["a"].isin(spec.by[0].levels) & rows["b"].isin(spec.by[1].levels)]
    fit = ols(f"y ~ C(a, Sum) {'*' if spec.interaction else '+'} C(b, Sum)", kept).fit()
    oracle = sm.stats.anova_lm(fit, typ=spec.type).drop("Intercept", errors="ignore")
    what = f"type {spec.type}{'' if spec.interaction else ' without interaction'}"
    return [
        coefficients([one.sum_of_squares for one in result.sources], oracle["sum_sq"], f"sums of squares, {what}"),
        coefficients([one.f for one in result.sources[:-1]], oracle["F"].dropna(), f"F, {what}"),
        p_values([one.p for one in result.sources[:-1]], oracle["PR(>F)"].dropna(), f"p-values, {what}"),
    ]


def _table(spec: ChiSquareSpec | FisherSpec, sites: Sites) -> pd.DataFrame:
    rows = sites.rows(spec, spec.row.column, spec.column.column)
    return pd.crosstab(rows[spec.row.column], rows[spec.column.column])


TABLES = (LUNG | {"row": SEX, "column": ECOG}, GBSG2 | {"row": HORMONE, "column": GRADE})
STATUS = Category(column="status", levels=(0, 1))
FOURFOLD = (
    LUNG | {"row": SEX, "column": STATUS},
    GBSG2 | {"row": HORMONE, "column": Category(column="cens", levels=(0, 1))},
)


@case(*(ChiSquareSpec(**beside) for beside in TABLES), *(ChiSquareSpec(yates=True, **beside) for beside in FOURFOLD))
async def chi_square(spec: ChiSquareSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    table = _table(spec, sites)
    oracle = stats.chi2_contingency(table, correction=spec.yates)
    g = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    independent = sm.stats.Table(table.to_numpy(), shift_zeros=False)
    found = [
        coefficients(result.statistic, oracle.statistic, "chi-square"),
        coefficients(result.g, g.statistic, "G"),
        coefficients(result.residuals, independent.standardized_resids, "adjusted residuals"),
        p_values([result.p, result.g_p], [oracle.pvalue, g.pvalue]),
    ]
    if table.shape == (2, 2):
        fourfold = sm.stats.Table2x2(table.to_numpy())
        ratios = [fourfold.oddsratio, *fourfold.oddsratio_confint(), fourfold.riskratio, *fourfold.riskratio_confint()]
        assert result.odds_ratio is not None
        assert result.risk_ratio is not None
        found.append(coefficients([*result.odds_ratio, *result.risk_ratio], ratios, "odds and risk ratio"))
    return found


@case(*(FisherSpec(**beside) for beside in FOURFOLD))
async def fisher(spec: FisherSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    table = _table(spec, sites).to_numpy()
    oracle = odds_ratio(table)
    interval = oracle.confidence_interval()
    return [
        p_values(result.p, stats.fisher_exact(table).pvalue),
        coefficients(
            [result.odds_ratio, result.lower, result.upper],
            [oracle.statistic, interval.low, interval.high],
            "odds ratio",
        ),
    ]
