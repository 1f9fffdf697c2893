import numpy as np
import pytest

from coordinator.demo.lung import KAPLAN_MEIER, lung_by_institution
from coordinator.demo.pooled import pooled_kaplan_meier
from participant.analyses.base.errors import CodingError, NoRowsError
from participant.analyses.survival.kaplan_meier import KaplanMeierSpec, estimate_kaplan_meier
from participant.statistics.language.conditions import Comparison
from participant.statistics.models.outcome import Grid
from tests.support.plain_sum import PlainSum
from tests.support.trials import TRIALS, lung, rossi, split


def curve_of(name: str) -> KaplanMeierSpec:
    _, spec = TRIALS[name]
    return KaplanMeierSpec(
        minimum_persons=1,
        dataset=spec.dataset,
        time=spec.time,
        event=spec.event,
        grid=spec.grid,
        row_limit=spec.row_limit,
    )


@pytest.mark.parametrize("quantised", [False, True], ids=["reals", "fixed point"])
@pytest.mark.parametrize("parts", [1, 3, 9])
@pytest.mark.parametrize("name", TRIALS)
async def test_equals_lifelines(name: str, parts: int, quantised: bool) -> None:
    table = TRIALS[name][0]()
    result = await estimate_kaplan_meier(curve_of(name), PlainSum(split(table, parts, 1), quantised=quantised))
    expected = pooled_kaplan_meier(table, curve_of(name))
    at = np.searchsorted(result.times, expected.times)
    np.testing.assert_array_equal(result.times[at], expected.times)
    for mine, theirs in (
        (result.survival, expected.survival),
        (result.lower, expected.lower),
        (result.upper, expected.upper),
    ):
        np.testing.assert_allclose(mine[at], theirs, atol=1e-12)
    assert result.median == expected.median


async def test_the_nine_institutions() -> None:
    result = await estimate_kaplan_meier(KAPLAN_MEIER, PlainSum(lung_by_institution(), quantised=True))
    assert (result.median, result.median_lower, result.median_upper) == (350.0, 287.0, 399.0)
    assert (result.rows, len(result.sites), len(result.times)) == (162, 9, 151)
    assert result.events.sum() + result.censored.sum() == result.rows
    assert abs(result.median - pooled_kaplan_meier(lung(), KAPLAN_MEIER, on_grid=False).median) < 7


async def test_filter_and_complete_columns() -> None:
    spec = KAPLAN_MEIER.model_copy(
        update={"filter": (Comparison(column="sex", op="!=", value=1),), "minimum_persons": 1}
    )
    result = await estimate_kaplan_meier(spec, PlainSum(split(lung(), 3, 0)))
    expected = pooled_kaplan_meier(lung(), spec)
    np.testing.assert_allclose(result.survival[np.searchsorted(result.times, expected.times)], expected.survival)


async def test_worked_example() -> None:
    """Six rows: events at 1 and 2, a censored row between, then two events together and the last row."""
    table = {"time": np.array([1.0, 1.5, 2.0, 4.0, 4.0, 5.0]), "status": np.array([1.0, 0.0, 1.0, 1.0, 1.0, 1.0])}
    spec = KaplanMeierSpec(
        dataset="d", time="time", event="status", grid=Grid(width=1, count=6), row_limit=10, minimum_persons=1
    )
    result = await estimate_kaplan_meier(spec, PlainSum({"all": table}))
    assert result.at_risk.tolist() == [6, 6, 5, 3, 3, 1, 0]
    assert result.events.tolist() == [0, 1, 1, 0, 2, 1, 0]
    assert result.censored.tolist() == [0, 0, 1, 0, 0, 0, 0]
    np.testing.assert_allclose(result.survival, [1, 5 / 6, 2 / 3, 2 / 3, 2 / 9, 0, 0])
    np.testing.assert_allclose(result.se[:3], [0, 5 / 6 * np.sqrt(1 / 30), 2 / 3 * np.sqrt(1 / 30 + 1 / 20)])
    assert (result.median, result.lower[0], result.upper[0]) == (4.0, 1.0, 1.0)
    table_rows = result.table()
    assert table_rows[1]["survival"] == pytest.approx(5 / 6)
    assert table_rows[5]["lower"] is table_rows[5]["upper"] is table_rows[5]["se"] is None


async def test_no_median() -> None:
    result = await estimate_kaplan_meier(curve_of("rossi"), PlainSum({"all": rossi()}))
    assert (result.median, result.median_lower, result.median_upper) == (None, None, None)


async def test_a_table_of_small_intervals_is_left_out() -> None:
    long, short = ({"time": np.repeat([1.0, 3.0], rows), "status": np.ones(2 * rows)} for rows in (6, 4))
    spec = KaplanMeierSpec(dataset="d", time="time", event="status", grid=Grid(width=1, count=9), row_limit=20)
    result = await estimate_kaplan_meier(spec, PlainSum({"a": long, "b": short, "c": long}))
    assert result.rows == 24
    assert result.warnings[0].startswith("24 of 32 persons are in these sums")


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        ({"time": np.full(3, np.nan)}, NoRowsError, "across all sites, no row"),
        ({"status": np.array([1.0, 2.0, 0.5])}, CodingError, "across all sites, 2 rows have a value of status"),
        ({"time": np.array([1.0, -2.0, 3.0])}, CodingError, "across all sites, 1 rows have a negative time"),
    ],
)
async def test_no_curve(change: dict, error: type, complaint: str) -> None:
    table = {"time": np.array([1.0, 2.0, 3.0]), "status": np.array([1.0, 0.0, 1.0])} | change
    spec = KaplanMeierSpec(
        dataset="d", time="time", event="status", grid=Grid(width=1, count=6), row_limit=10, minimum_persons=1
    )
    with pytest.raises(error, match=complaint):
        await estimate_kaplan_meier(spec, PlainSum(split(table, 3, 0)))


@pytest.mark.parametrize("rows", range(2, 62, 2))
async def test_the_median_is_the_first_time_at_which_half_survive(rows: int) -> None:
    """One event at each time leaves exactly one half at the middle, which products of fractions miss by rounding."""
    table = {"time": np.arange(1.0, rows + 1), "status": np.ones(rows)}
    spec = KaplanMeierSpec(
        dataset="d", time="time", event="status", grid=Grid(width=1, count=rows), row_limit=rows, minimum_persons=1
    )
    assert (await estimate_kaplan_meier(spec, PlainSum({"all": table}))).median == rows / 2
