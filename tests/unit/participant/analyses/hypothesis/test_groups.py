"""Tests of means and tables on unusual data; `tests/oracles` compares them on real data."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from participant.analyses.base.errors import CollinearityError, NoRowsError, PrecisionError, SpecError
from participant.analyses.catalogue import parse_spec
from participant.analyses.hypothesis.anova import AnovaSpec
from participant.analyses.hypothesis.chi_square import ChiSquareSpec
from participant.analyses.hypothesis.fisher import FisherSpec
from participant.analyses.hypothesis.t_test import TTestSpec
from participant.statistics.language.statistic import Columns
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.support.plain_sum import PlainSum

Y = Variable(column="y", low=0, high=100)
A = Category(column="a", levels=(1, 2))
B = Category(column="b", levels=(1, 2, 3))
PLAIN = {"dataset": "d", "row_limit": 1000, "minimum_persons": 1}


def sites(*tables: dict[str, list[float]], quantised: bool = True) -> PlainSum:
    named = {f"site-{i}": {k: np.array(v, np.float64) for k, v in table.items()} for i, table in enumerate(tables)}
    return PlainSum(named, quantised=quantised)


def table(seed: int, rows: int = 60) -> Columns:
    rng = np.random.default_rng(seed)  # noqa: TID251 - test data
    a, b = rng.integers(1, 3, rows), rng.integers(1, 4, rows)
    return {
        "a": a.astype(float),
        "b": b.astype(float),
        "y": np.clip(30 + 5 * a + 3 * b + rng.normal(0, 8, rows), 0, 100),
    }


def two_sample(**changes: object) -> TTestSpec:
    return TTestSpec.model_validate({"kind": "two-sample", "variable": Y, "by": A} | PLAIN | changes)


async def test_a_group_that_only_one_site_has() -> None:
    result = await two_sample().analyse(sites({"y": [1, 4, 6], "a": [1, 1, 1]}, {"y": [9, 7, 8, 9], "a": [2] * 4}))
    oracle = stats.ttest_ind([1, 4, 6], [9, 7, 8, 9])
    np.testing.assert_allclose([result.statistic, result.p], [oracle.statistic, oracle.pvalue], rtol=1e-12)
    assert result.warnings == ("3 rows in a group: the test relies on normally distributed values",)


@pytest.mark.parametrize("kind", ["two-sample", "welch"])
@pytest.mark.parametrize(
    ("y", "a", "error", "complaint"),
    [
        ([5] * 4 + [9] * 4, [1] * 4 + [2] * 4, CollinearityError, "constant within the groups"),
        ([0.1] * 8, [1, 2] * 4, CollinearityError, "constant within the groups"),
        ([1, 2, 3], [1, 1, 1], NoRowsError, "3 and 0 rows across all sites in the two groups of a are too few"),
        ([1, 2, 3], [7, 7, 7], NoRowsError, "across all sites, no row"),
        ([], [], NoRowsError, "across all sites, no row"),
    ],
)
async def test_no_test_of_two_groups(kind: str, y: list, a: list, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        await two_sample(kind=kind).analyse(sites({"y": y, "a": a}))


async def test_one_row_is_enough_of_a_group_where_variances_are_equal() -> None:
    rows = {"y": [1, 4, 6, 9], "a": [1, 1, 1, 2]}
    result = await two_sample().analyse(sites(rows))
    assert result.p == pytest.approx(stats.ttest_ind([1, 4, 6], [9]).pvalue, rel=1e-12)
    assert result.groups[1].sd is None
    assert "-" in result.summary()
    with pytest.raises(NoRowsError, match="too few to compare"):
        await two_sample(kind="welch").analyse(sites(rows))


@pytest.mark.parametrize("spread", [1e-3, 1e-6])
async def test_a_spread_that_is_small_beside_the_range_is_exact_or_refused(spread: float) -> None:
    values = 77.7 + spread * np.arange(12.0)
    wide = Variable(column="y", low=0, high=1e6)
    spec = TTestSpec(kind="one-sample", variable=wide, null=77.0, **PLAIN)
    given = sites({"y": values[:5].tolist()}, {"y": values[5:].tolist()})
    with pytest.raises((PrecisionError, CollinearityError), match="declared range"):
        await spec.analyse(given)
    near = spec.model_copy(update={"variable": Variable(column="y", low=77.7 - spread, high=77.7 + 12 * spread)})
    result = await near.analyse(given)
    oracle = stats.ttest_1samp(values, 77.0)
    np.testing.assert_allclose(result.statistic, oracle.statistic, rtol=1e-6)


async def test_coarse_sums_are_asked_for_again_within_ranges() -> None:
    given = sites(table(1), table(2))
    rough = await two_sample(value_bits=32).analyse(given)
    assert [query.statistic for query in given.queries] == ["class-moments", "ranges", "class-moments"]
    assert rough.p == pytest.approx((await two_sample().analyse(sites(table(1), table(2)))).p, abs=1e-7)


async def test_a_group_of_nearly_one_value_or_none_costs_no_round_and_is_no_trouble() -> None:
    close = {"y": [50.0, 50.0 + 1e-5, 10.0, 60.0, 33.0, 47.0], "b": [1, 1, 2, 2, 2, 2]}
    given = sites(close)
    result = await AnovaSpec(outcome=Y, by=(B,), **PLAIN).analyse(given)
    assert result.sources[0].p == pytest.approx(stats.f_oneway(close["y"][:2], close["y"][2:]).pvalue, rel=1e-9)
    assert len(given.queries) == 1


async def test_hidden_groups_are_said_and_left_out() -> None:
    large, small = table(1), {"y": [90.0] * 9, "a": [1.0] * 7 + [2.0] * 2}
    result = await two_sample(minimum_persons=5).analyse(sites(large, small))
    oracle = stats.ttest_ind(*(large["y"][large["a"] == level] for level in (1, 2)))
    assert result.p == pytest.approx(oracle.pvalue, rel=1e-9)
    assert result.warnings[0].startswith(f"{len(large['y'])} of {len(large['y']) + 9} persons are in these sums")


async def test_values_out_of_range_and_other_codes_are_said() -> None:
    odd = {"y": [120.0] * 5 + [50.0, 40.0] * 8, "a": [1.0, 9.0, 9.0, 9.0, 9.0, 9.0] + [1.0] * 15}
    result = await two_sample(minimum_persons=5).analyse(sites(table(3), odd))
    assert "5 values of y lie outside their declared range or levels" in result.warnings
    assert "5 rows have a code of a that is not a declared level; they are left out" in result.warnings


async def test_pairs_leave_out_what_is_missing_in_one() -> None:
    x, y = [10.0, 20.0, 35.0, 41.0, np.nan, 7.0], [12.0, 21.0, 31.0, np.nan, 3.0, 9.0]
    spec = TTestSpec(kind="paired", variable=Variable(column="x", low=0, high=100), paired_with=Y, **PLAIN)
    result = await spec.analyse(sites({"x": x[:2], "y": y[:2]}, {"x": x[2:], "y": y[2:]}))
    oracle = stats.ttest_rel(x, y, nan_policy="omit")
    np.testing.assert_allclose([result.statistic, result.p], [oracle.statistic, oracle.pvalue], rtol=1e-10)
    assert (result.rows, result.groups[0].name) == (4, "x - y")
    with pytest.raises(CollinearityError, match="x less y: constant"):
        await spec.analyse(sites({"x": [1, 2, 3], "y": [2, 3, 4]}))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kind": "one-sample"}, "a one-sample t-test has no by"),
        ({"kind": "paired"}, "a paired t-test has no by"),
        ({"by": None}, "a two-sample t-test needs by"),
        ({"by": {"column": "b", "levels": [1, 2, 3]}}, "compares two levels"),
        (
            {"kind": "paired", "by": None, "paired_with": {"column": "y", "low": 0, "high": 1}},
            "cannot be paired with itself",
        ),
    ],
)
def test_a_t_test_needs_what_its_kind_says(changes: dict, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        parse_spec(two_sample().model_dump(mode="json", exclude={"value_bits"}) | changes)


async def test_analysis_of_variance_with_an_empty_combination() -> None:
    rows = table(5)
    kept = {name: column[~((rows["a"] == 2) & (rows["b"] == 3))] for name, column in rows.items()}
    spec = AnovaSpec(outcome=Y, by=(A, B), **PLAIN)
    result = await spec.analyse(sites(kept))
    assert [(one.name, one.df) for one in result.sources[:3]] == [("a", 1), ("b", 2), ("a:b", 1)]
    assert "no row has a[2]:b[3]: the interaction has fewer degrees of freedom" in result.warnings
    frame = pd.DataFrame(kept)
    additive, cells = ols("y ~ C(a) + C(b)", frame).fit(), ols("y ~ C(a * 10 + b)", frame).fit()
    oracle = anova_lm(additive, cells)
    np.testing.assert_allclose(result.sources[2].f, oracle["F"][1], rtol=1e-9)
    np.testing.assert_allclose(result.sources[2].p, oracle["Pr(>F)"][1], rtol=1e-9)
    with pytest.raises(
        CollinearityError, match=r"no row has a\[2\]:b\[3\]; sums of squares of type 3 need every combination"
    ):
        await spec.model_copy(update={"type": 3}).analyse(sites(kept))


@pytest.mark.parametrize(
    ("y", "a", "b", "error", "complaint"),
    [
        ([1, 2, 3, 4], [1, 1, 1, 1], [1, 2, 1, 2], NoRowsError, r"all rows in the sums have a\[1\]"),
        ([1, 2, 3, 4], [1, 1, 2, 2], [1, 1, 2, 2], CollinearityError, "no combination of levels links these factors"),
        ([5, 5, 5, 5, 7, 7], [1, 1, 2, 2, 1, 1], [1, 1, 1, 1, 2, 2], CollinearityError, "constant within"),
        ([1, 2, 3, 4], [1, 1, 2, 2], [1, 2, 1, 2], NoRowsError, "4 rows across all sites leave none for the residuals"),
    ],
)
async def test_no_analysis_of_variance(y: list, a: list, b: list, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        await AnovaSpec(outcome=Y, by=(A, B), **PLAIN).analyse(sites({"y": y, "a": a, "b": b}))


async def test_a_level_without_rows_is_left_out_and_variances_that_differ_are_said() -> None:
    rows = {"y": [50, 51, 52, 49, 50, 10, 90, 30, 70, 55], "b": [1] * 5 + [2] * 5}
    result = await AnovaSpec(outcome=Y, by=(B,), **PLAIN).analyse(sites(rows))
    assert result.sources[0].p == pytest.approx(stats.f_oneway(rows["y"][:5], rows["y"][5:]).pvalue, rel=1e-10)
    assert "no row has b[3]; the analysis leaves it out" in result.warnings
    assert any(text.startswith("the variances differ between the groups") for text in result.warnings)


async def test_a_table_leaves_out_levels_that_nobody_has() -> None:
    spec = ChiSquareSpec(row=A, column=B, **PLAIN)
    result = await spec.analyse(sites({"a": [1] * 9, "b": [1, 3] * 4 + [1]}, {"a": [2] * 9, "b": [1] * 8 + [3]}))
    oracle = stats.chi2_contingency([[5, 4], [8, 1]], correction=False)
    np.testing.assert_allclose([result.statistic, result.p], [oracle.statistic, oracle.pvalue], rtol=1e-12)
    assert result.column_levels == ("b[1]", "b[3]")
    assert result.warnings[0] == "no row has b[2]; the analysis leaves it out"
    assert "expected counts are below 5" in result.warnings[1]


async def test_ratios_do_not_divide_by_zero() -> None:
    result = await ChiSquareSpec(row=A, column=A.model_copy(update={"column": "c"}), **PLAIN).analyse(
        sites({"a": [1, 1, 1, 2, 2, 2], "c": [1, 1, 2, 2, 2, 2]})
    )
    assert result.odds_ratio is result.risk_ratio is None
    assert np.isfinite(result.residuals).all()


async def test_tables_of_one_level_and_hidden_cells() -> None:
    spec = ChiSquareSpec(row=A, column=B, **PLAIN)
    with pytest.raises(NoRowsError, match=r"all rows in the sums have a\[1\]"):
        await spec.analyse(sites({"a": [1, 1], "b": [1, 2]}))
    given = table(4, 300), {"a": [1.0] * 20 + [2.0] * 2, "b": [1.0] * 10 + [2.0] * 12}
    result = await spec.model_copy(update={"minimum_persons": 5}).analyse(sites(*given))
    assert any("300 of 322 persons are in these sums" in text for text in result.warnings)


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
async def test_fisher_s_test_with_an_empty_cell(alternative: str) -> None:
    spec = FisherSpec(row=A, column=A.model_copy(update={"column": "c"}), alternative=alternative, **PLAIN)
    result = await spec.analyse(sites({"a": [1, 1, 1], "c": [1, 1, 1]}, {"a": [2, 2, 2, 2], "c": [1, 2, 2, 2]}))
    assert result.p == pytest.approx(stats.fisher_exact([[3, 0], [1, 3]], alternative=alternative).pvalue, rel=1e-12)
    assert result.odds_ratio == np.inf
    assert "a cell is empty across all sites" in result.warnings[0]


def test_fisher_s_test_is_for_two_by_two() -> None:
    with pytest.raises(SpecError, match="b has 3 levels; use the chi-square test"):
        parse_spec(
            {"analysis": "fisher", "dataset": "d", "row_limit": 9} | {"row": A.model_dump(), "column": B.model_dump()}
        )
