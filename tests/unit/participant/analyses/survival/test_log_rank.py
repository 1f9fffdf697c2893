"""Survival by groups: the module's example, unusual groups, and nothing to compare."""

import numpy as np
import pytest

from coordinator.report.plots import plot
from participant.analyses.base.errors import CodingError, NoEventsError, NoRowsError
from participant.analyses.survival.log_rank import LogRankResult, LogRankSpec, compare_survival
from participant.statistics.language.statistic import Columns
from participant.statistics.models.design import Category
from participant.statistics.models.outcome import Grid
from tests.support.plain_sum import PlainSum
from tests.support.trials import split

SPEC = LogRankSpec(
    dataset="d",
    time="time",
    event="status",
    group=Category(column="arm", levels=(1, 2)),
    grid=Grid(width=1, count=6),
    row_limit=100,
    minimum_persons=1,
)


def table(time: list, status: list, arm: list, **more: list) -> Columns:
    columns = {"time": time, "status": status, "arm": arm} | more
    return {name: np.array(column, float) for name, column in columns.items()}


async def compared(given: Columns, **changes) -> LogRankResult:
    spec = LogRankSpec.model_validate(SPEC.model_dump() | changes)
    return await compare_survival(spec, PlainSum(split(given, 3, 0), quantised=True))


EXAMPLE = table([1, 2, 3, 4], [1, 1, 1, 1], [1, 1, 2, 2])


async def test_worked_example() -> None:
    result = await compared(EXAMPLE)
    np.testing.assert_allclose(result.expected, [5 / 6, 4 - 5 / 6])
    assert (result.observed.tolist(), result.df) == ([2, 2], 1)
    assert result.statistic == pytest.approx((7 / 6) ** 2 / (17 / 36))
    assert result.p == pytest.approx(0.0896, abs=1e-4)
    assert [row["median"] for row in result.table()] == [1, 3]
    assert result.warnings == ()
    text = result.summary()
    assert "Kaplan-Meier curves by group and log-rank test" in text
    assert "arm[2]" in text


async def test_the_order_of_the_groups_does_not_matter() -> None:
    swapped = await compared(EXAMPLE, group=Category(column="arm", levels=(2, 1)))
    assert swapped.statistic == pytest.approx((await compared(EXAMPLE)).statistic)
    assert swapped.names == ("arm[2]", "arm[1]")


async def test_a_stratum_of_one_group_adds_nothing() -> None:
    ward = table([1, 2, 3, 4, 1, 2], [1] * 6, [1, 1, 2, 2, 1, 1], ward=[0, 0, 0, 0, 1, 1])
    result = await compared(ward, strata=(Category(column="ward", levels=(0, 1)),))
    assert result.statistic == pytest.approx((await compared(EXAMPLE)).statistic)
    assert "strata of ward" in result.title


async def test_odd_groups_are_said() -> None:
    """One group without rows, one that is gone before the first event, a row of no group, one of no stratum."""
    given = table([2, 3, 4, 5, 1, 6], [1, 1, 1, 1, 0, 1], [1, 1, 2, 2, 3, 9], ward=[0, 0, 0, 7, 0, 0])
    group, ward = Category(column="arm", levels=(1, 2, 3, 4)), Category(column="ward", levels=(0, 1))
    result = await compared(given, group=group, strata=(ward,))
    assert result.names == ("arm[1]", "arm[2]", "arm[3]")
    assert result.df == 1
    assert result.warnings == (
        "1 rows have a value of arm that is not a declared level; they are left out",
        "1 rows have a value of ward that is not a declared level; they form strata of their own",
        "arm[4] has no rows; the comparison leaves it out",
        "arm[3] is never at risk at an event; the test leaves it out",
    )


async def test_ties_everywhere() -> None:
    """All events at one time: the test is that of a contingency table, with n - 1 for n."""
    result = await compared(table([2] * 8, [1, 1, 1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 2, 2, 2, 2]))
    assert result.statistic == pytest.approx((3 - 2) ** 2 / (4 * 4 * 4 * 4 / (8 * 8 * 7)))


@pytest.mark.parametrize(
    ("given", "error", "complaint"),
    [
        (table([1, 2], [1, 1], [1, 1]), NoRowsError, "fewer than two levels of arm have complete rows"),
        (table([1, 2], [0, 0], [1, 2]), NoEventsError, "no event lies on the grid while rows of two groups"),
        (table([1, 2, 3], [0, 1, 1], [1, 2, 2]), NoEventsError, "no event lies on the grid while rows of two groups"),
        (table([1, 2], [1, 3], [1, 2]), CodingError, "across all sites, 1 rows have a value of status"),
    ],
)
async def test_nothing_to_compare(given: Columns, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        await compared(given)


async def test_the_figure_has_all_curves() -> None:
    figure = plot(await compared(EXAMPLE))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["arm[1]", "arm[2]"]
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["arm[1]", "arm[2]"]
