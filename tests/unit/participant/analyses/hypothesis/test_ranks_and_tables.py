"""Rank tests and tables on small, tied, hidden or degenerate data."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from coordinator.runs.lifecycle import result_of
from participant.analyses.base.errors import CollinearityError, NoRowsError, SpecError
from participant.analyses.catalogue import parse_spec
from participant.statistics.language.statistic import Columns
from tests.support.plain_sum import PlainSum
from tests.support.trials import split
from tests.unit.participant.analyses.base.test_coverage import Lacking

PLAIN = {"dataset": "d", "row_limit": 200, "minimum_persons": 1}
X, Y = ({"column": name, "low": 0, "high": 9} for name in "xy")
G, H = ({"column": name, "levels": [0, 1]} for name in "gh")
S = {"column": "s", "levels": [0, 1, 2]}
RANKS = PLAIN | {"analysis": "rank-test", "variable": X, "width": 1, "by": G}
SIGNED = PLAIN | {"analysis": "signed-rank", "variable": X, "paired_with": Y, "width": 1}
KAPPA = PLAIN | {"analysis": "agreement", "first": G, "second": H}
STRATA = PLAIN | {"analysis": "mantel-haenszel", "row": G, "column": H, "strata": [S]}
SPEARMAN = PLAIN | {"analysis": "spearman", "variables": [X | {"width": 1}, Y | {"width": 1}]}
TREND = PLAIN | {"analysis": "trend", "event": G, "by": S}


def columns(**given: Any) -> Columns:
    return {name: np.array(values, np.float64) for name, values in given.items()}


async def run(document: dict[str, Any], table: Columns, parts: int = 3, **changes: Any) -> Any:
    return await parse_spec(document | changes).analyse(PlainSum(split(table, parts, 0), quantised=True))


async def test_worked_example_of_ranks() -> None:
    result = await run(RANKS, columns(x=[1, 2, 3, 2, 4], g=[0, 0, 0, 1, 1]))
    assert (result.u_statistic, result.superiority) == (1.5, 0.25)
    assert [group.mean_rank for group in result.groups] == [2.5, 3.75]
    assert [group.median for group in result.groups] == [2, 2]
    assert result.h_statistic == pytest.approx(stats.kruskal([1, 2, 3], [2, 4]).statistic)


async def test_worked_example_of_signed_ranks() -> None:
    result = await run(SIGNED, columns(x=[2, 3, 4, 7, 5], y=[1, 2, 5, 5, 5]))
    assert (result.statistic, result.rows) == (8, 5)
    assert [(one.name, one.rows) for one in result.signs] == [("below", 1), ("zero", 1), ("above", 3)]
    oracle = stats.wilcoxon([1, 1, -1, 2, 0], method="approx", correction=False)
    assert (result.z, result.p) == pytest.approx((abs(oracle.zstatistic), oracle.pvalue))


async def test_values_beyond_the_range_are_said_and_a_wide_grid_ties() -> None:
    result = await run(RANKS, columns(x=[1, 2, 3, 12], g=[0, 1, 1, 1]), width=3)
    assert any("1 values of x lie outside" in text for text in result.warnings)
    assert [group.mean_rank for group in result.groups] == [2, pytest.approx((2 + 2 + 4) / 3)]
    signed = await run(SIGNED, columns(x=[9, 19, 3, 3], y=[0, 0, 1, 4]))
    assert any("1 values of x - y lie outside" in text for text in signed.warnings)


async def test_rank_correlation_of_any_ascending_relation_is_one() -> None:
    x = np.array([0, 1, 2, 3, 5, 9.0])
    result = await run(
        SPEARMAN, columns(x=x, y=np.minimum(x**2 / 9, 9)), variables=[X | {"width": 1}, Y | {"width": 0.05}]
    )
    assert result.pairs[0].r == pytest.approx(1)
    assert result.title == "Spearman's rank correlations"
    tied = await run(SPEARMAN, columns(x=[1, 1, 2, 2, 3], y=[3, 1, 2, 2, 5]))
    assert tied.pairs[0].r == pytest.approx(stats.spearmanr([1, 1, 2, 2, 3], [3, 1, 2, 2, 5]).statistic)
    z, se = np.arctanh(tied.pairs[0].r), np.sqrt((1 + tied.pairs[0].r ** 2 / 2) / 2)
    assert tied.pairs[0].upper == pytest.approx(np.tanh(z + stats.norm.ppf(0.975) * se))


async def test_ranks_of_fewer_rows_than_the_correlation_are_said() -> None:
    large = columns(x=np.repeat([0, 3, 6, 9], 20), y=np.tile([0, 3, 6, 9], 20))
    small = columns(x=np.arange(18) // 2, y=np.arange(18) // 2)
    spec = parse_spec(SPEARMAN | {"minimum_persons": 5})
    result = await spec.analyse(PlainSum({"a": large, "b": small, "c": large}))
    assert result.rows == 178
    assert result.warnings[0].startswith("160 of 178 persons are in these sums")
    assert result.warnings[1] == "ranks and correlations cover different rows; wider steps keep more of them"


async def test_a_floor_hides_tables_with_a_small_step_and_wider_steps_keep_them() -> None:
    large = columns(x=np.repeat([0, 3, 6, 9], 20), g=np.tile([0, 1], 40))
    small = columns(x=np.repeat([0, 1, 2], [12, 2, 4]), g=[*np.tile([0, 1], 6), *np.zeros(6)])
    sites = {"a": large, "b": small, "c": large}
    narrow, wide = [
        await parse_spec(RANKS | {"minimum_persons": 5, "width": width}).analyse(PlainSum(sites)) for width in (1, 3)
    ]
    assert (narrow.rows, wide.rows) == (160, 178)
    assert any("left out their whole table" in text for text in narrow.warnings)
    assert wide.warnings == ()


async def test_perfect_agreement_and_none_beyond_chance() -> None:
    same = await run(KAPPA, columns(g=[0, 1, 1, 0], h=[0, 1, 1, 0]))
    assert (same.kappa, same.symmetry_statistic, same.exact_p) == (1, None, None)
    assert "nan" not in same.summary()
    other = await run(KAPPA, columns(g=[0, 0, 1, 1], h=[0, 1, 0, 1]))
    assert (other.kappa, other.p, other.exact_p) == (0, 1, 1)


async def test_a_level_of_one_rating_alone_stays_in_the_table() -> None:
    levels = {"first": S | {"column": "g"}, "second": S | {"column": "h"}, "weights": "linear"}
    result = await run(KAPPA, columns(g=[0, 0, 2, 2, 2], h=[0, 0, 0, 1, 1]), **levels)
    assert result.counts.tolist() == [[2, 0, 0], [0, 0, 0], [1, 2, 0]]
    without = await run(KAPPA, columns(g=[0, 0, 2, 2], h=[0, 0, 0, 2]), **levels)
    assert without.counts.tolist() == [[2, 0], [1, 1]]


async def test_strata_without_both_levels_add_nothing() -> None:
    table = columns(
        g=[0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0], h=[0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0], s=[0] * 6 + [1] * 4 + [2] * 2
    )
    result = await run(STRATA, table)
    inside = {name: column[:10] for name, column in table.items()}
    alone = await run(STRATA, inside)
    assert (result.odds_ratio, result.statistic, result.df) == (alone.odds_ratio, alone.statistic, 1)
    assert [one.rows for one in result.strata] == [6, 4, 2]
    assert result.strata[2].odds_ratio is None


@pytest.mark.parametrize(
    ("document", "table", "error", "complaint"),
    [
        (RANKS, {"x": [1, 2], "g": [0, 0]}, NoRowsError, "compares at least two levels"),
        (RANKS, {"x": [3, 3], "g": [0, 1]}, CollinearityError, "x: all rows are in one step"),
        (RANKS, {"x": [np.nan], "g": [0]}, NoRowsError, "no row meets the filter"),
        (RANKS | {"width": 0.001}, {"x": [1], "g": [0]}, SpecError, "into more than 1000 steps"),
        (SIGNED, {"x": [3, 4], "y": [3, 4]}, CollinearityError, "equal on the grid"),
        (SIGNED, {"x": [np.nan], "y": [3]}, NoRowsError, "no row meets the filter"),
        (KAPPA, {"g": [1, 1], "h": [1, 1]}, NoRowsError, "all rows have one level"),
        (KAPPA, {"g": [np.nan], "h": [1]}, NoRowsError, "no row meets the filter"),
        (STRATA, {"g": [0, 0], "h": [0, 1], "s": [0, 0]}, NoRowsError, "no stratum has both levels"),
        (STRATA, {"g": [np.nan], "h": [0], "s": [0]}, NoRowsError, "no row meets the filter"),
        (SPEARMAN, {"x": [3, 3, 3], "y": [1, 2, 3]}, CollinearityError, "x: all rows are in one step"),
        (SPEARMAN, {"x": [1, 2], "y": [1, 2]}, NoRowsError, "at least three"),
        (SPEARMAN, {"x": [np.nan], "y": [1]}, NoRowsError, "no row meets the filter"),
        (TREND, {"g": [0, 0], "s": [0, 1]}, NoRowsError, "compares at least two levels"),
        (TREND | {"scores": [1, 1, 2]}, {"g": [0, 1], "s": [0, 1]}, SpecError, "one score"),
    ],
)
async def test_no_result(document: dict, table: dict, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        await run(document, columns(**table), parts=1)


@pytest.mark.parametrize(
    ("document", "changes", "complaint"),
    [
        (RANKS, {"by": S, "alternative": "less"}, "needs two groups"),
        (SIGNED, {"paired_with": X}, "listed twice"),
        (KAPPA, {"second": {"column": "h", "levels": [1, 0]}}, "the same levels"),
        (KAPPA, {"second": G}, "two columns"),
        (STRATA, {"row": S}, "must have two"),
        (STRATA, {"strata": [G]}, "listed twice"),
        (TREND, {"event": S}, "must have two"),
        (TREND, {"scores": [1]}, "one score for each level"),
    ],
)
def test_refused_specifications(document: dict, changes: dict, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        parse_spec(document | changes)


@pytest.mark.parametrize(
    ("document", "tests"),
    [
        (RANKS, ["H", "U", "Superiority", "P > H", "P of U"]),
        (SIGNED, ["W", "z", "p"]),
        (KAPPA, ["Symmetry", "P of kappa", "95 % interval", "P of symmetry"]),
        (STRATA, ["Chi-square", "p", "Equal odds (Breslow-Day)", "P of equal odds"]),
        (TREND, ["z", "p", "Departure from the trend", "P of departure"]),
    ],
    ids=lambda one: one["analysis"] if isinstance(one, dict) else "",
)
async def test_too_many_missing_persons_leave_no_test(document: dict[str, Any], tests: list[str]) -> None:
    """Every test, interval and area has a name by which the rule about missing persons knows it."""
    rng = np.random.default_rng(4)  # noqa: TID251 - test data
    table = columns(
        **{name: rng.integers(0, 3, 90) for name in "xys"}, g=rng.integers(0, 2, 90), h=rng.integers(0, 2, 90)
    )
    spec = parse_spec(document)
    shown = (await spec.analyse(PlainSum(split(table, 3, 0))))._summary().facts
    lacking = (await result_of(spec, Lacking(split(table, 3, 0)), 3))._summary().facts
    assert set(tests) <= shown.keys()
    assert not set(tests) & lacking.keys()
