"""Restricted mean survival time: R's numbers, and data that leave no mean or none to compare."""

from typing import Any

import numpy as np
import pytest

from coordinator.report.plots import has_figure, plot
from participant.analyses.base.errors import CodingError, NoRowsError, SpecError
from participant.analyses.catalogue import parse_spec
from participant.statistics.language.statistic import Columns
from tests.support.plain_sum import PlainSum
from tests.support.trials import lung, split

LUNG: dict[str, Any] = {
    "analysis": "rmst",
    "dataset": "lung",
    "time": "time",
    "event": "status",
    "grid": {"width": 7, "count": 150},
    "horizon": 730,
    "row_limit": 1000,
    "minimum_persons": 1,
}
SEX = {"group": {"column": "sex", "levels": [1, 2]}}
SMALL = LUNG | {"grid": {"width": 1, "count": 4}, "horizon": 2}


async def run(document: dict[str, Any], table: Columns, parts: int = 3, **changes: Any) -> Any:
    return await parse_spec(document | changes).analyse(PlainSum(split(table, parts, 0), quantised=True))


def small(time: list[float], status: list[float], sex: list[float] | None = None) -> Columns:
    given = {"time": time, "status": status} | ({"sex": sex} if sex else {})
    return {name: np.array(column, np.float64) for name, column in given.items()}


@pytest.mark.parametrize("parts", [1, 9])
async def test_the_means_are_those_of_r(parts: int) -> None:
    """R 4.2.2, survival: summary(survfit(Surv(t, e) ~ sex), rmean = 730), with times on the weekly grid."""
    result = await run(LUNG | SEX, lung(), parts)
    man, woman = result.groups
    np.testing.assert_allclose([man.rmst, man.se], [318.565245107, 22.0398699820], rtol=1e-9)
    np.testing.assert_allclose([woman.rmst, woman.se], [435.544362558, 31.1303315232], rtol=1e-9)
    assert woman.difference == pytest.approx(435.544362558 - 318.565245107, rel=1e-9)
    assert (man.difference, man.p) == (None, None)
    assert result.warnings == ()
    assert has_figure(result)
    assert plot(result)
    everyone = await run(LUNG, lung(), parts, horizon=400)
    np.testing.assert_allclose(
        [everyone.groups[0].rmst, everyone.groups[0].se], [276.77736449931, 9.92070954797], rtol=1e-9
    )


async def test_worked_example() -> None:
    result = await run(SMALL, small([1, 3], [1, 0]), parts=1)
    (group,) = result.groups
    assert (group.name, group.rmst, group.se**2) == ("all", 1.5, pytest.approx(1 / 8))


async def test_a_curve_that_ends_before_the_horizon_is_continued_and_that_is_said() -> None:
    table = small([1, 1, 1, 1, 2, 4], [1, 0, 1, 1, 0, 0], [1, 1, 2, 2, 2, 2])
    result = await run(SMALL | SEX, table, horizon=3)
    assert [group.rmst for group in result.groups] == [2.0, 2.0]
    assert result.warnings == ("nobody of sex[1] is at risk after 1 days: the curve is continued at its last value",)
    dead = await run(SMALL | SEX, small([1, 1, 2, 2], [1, 1, 1, 1], [1, 1, 2, 2]), horizon=3)
    assert [(group.rmst, group.se) for group in dead.groups] == [(1, 0), (2, 0)]
    assert (dead.groups[1].p, dead.warnings) == (None, ())
    assert "nan" not in dead.summary()


async def test_events_at_time_0_count_at_once() -> None:
    result = await run(SMALL, small([0, 0, 2, 3], [1, 0, 1, 0]), parts=1)
    assert result.groups[0].rmst == pytest.approx(2 * 3 / 4)


@pytest.mark.parametrize(
    ("table", "changes", "error", "complaint"),
    [
        (small([np.nan], [1]), {}, NoRowsError, "no row meets the filter"),
        (small([1, 2], [1, 2]), {}, CodingError, "other than 0 and 1"),
        (small([1, 2], [1, 0], [1, 1]), SEX, NoRowsError, "compares at least two levels"),
    ],
)
async def test_no_mean(table: Columns, changes: dict, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        await run(SMALL | changes, table, parts=1)


def test_a_horizon_beyond_the_grid() -> None:
    with pytest.raises(SpecError, match="beyond the end of the grid"):
        parse_spec(SMALL | {"horizon": 5})
