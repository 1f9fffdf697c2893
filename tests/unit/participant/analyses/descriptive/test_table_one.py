"""Table one on small and degenerate groups."""

from typing import Any

import numpy as np
import pytest

from participant.analyses.base.errors import NoRowsError, SpecError
from participant.analyses.catalogue import parse_spec
from tests.support.plain_sum import PlainSum
from tests.support.trials import split

X = {"column": "x", "low": 0, "high": 9}
G = {"column": "g", "levels": [0, 1]}
S = {"column": "s", "levels": [0, 1, 2]}
SPEC = {"analysis": "table-one", "dataset": "d", "row_limit": 99, "minimum_persons": 1, "by": G}


async def run(document: dict[str, Any], parts: int = 1, **given: list[float]) -> Any:
    table = {name: np.array(values, np.float64) for name, values in given.items()}
    return await parse_spec(SPEC | document).analyse(PlainSum(split(table, parts, 0), quantised=True))


@pytest.mark.parametrize("parts", [1, 3])
async def test_worked_example(parts: int) -> None:
    result = await run({"numbers": [X], "categories": [S]}, parts, x=[1, 3, 3, 5], g=[0, 0, 1, 1], s=[0, 1, 0, 1])
    assert result.differences == {"x": pytest.approx(np.sqrt(2)), "s": pytest.approx(0)}
    assert [(cell.group, cell.rows, cell.mean) for cell in result.lines[0].cells] == [("g[0]", 2, 2), ("g[1]", 2, 4)]
    assert [line.name for line in result.lines] == ["x", "s[0]", "s[1]", "s[2]"]
    assert [line.smd is None for line in result.lines] == [False, False, True, True]
    summary = result.summary()
    assert "2 (1.414)" in summary
    assert "1 (50.0 %)" in summary


async def test_each_variable_counts_its_own_rows() -> None:
    nan = float("nan")
    result = await run({"numbers": [X], "categories": [S]}, x=[1, nan, 3, 5], g=[0, 0, 1, 1], s=[0, 1, nan, 2])
    assert [cell.rows for cell in result.lines[0].cells] == [1, 2]
    assert [cell.rows for cell in result.lines[1].cells] == [2, 1]
    assert result.differences["x"] is None  # one row has no spread
    assert "nan" not in result.summary()


@pytest.mark.parametrize(
    ("x", "s", "differences"),
    [
        ([2, 2, 2, 2], [1, 1, 1, 1], (0, 0)),
        ([2, 2, 3, 3], [0, 0, 1, 1], (None, None)),
    ],
    ids=["alike", "apart"],
)
async def test_groups_without_any_spread(x: list[float], s: list[float], differences: tuple) -> None:
    result = await run({"numbers": [X], "categories": [S]}, x=x, g=[0, 0, 1, 1], s=s)
    assert tuple(result.differences.values()) == differences


async def test_the_difference_of_more_than_two_groups_is_the_mean_of_all_pairs() -> None:
    by = {"by": S, "numbers": [X]}
    result = await run(by, x=[1, 3, 3, 5, 5, 7], s=[0, 0, 1, 1, 2, 2])
    assert result.differences["x"] == pytest.approx(np.mean([1, 1, 2]) * np.sqrt(2))
    fewer = await run(by, x=[1, 3, 3, 5], s=[0, 0, 2, 2])
    assert fewer.groups == ("s[0]", "s[2]")
    assert fewer.differences["x"] == pytest.approx(np.sqrt(2))
    assert "no row has s[1]" in fewer.warnings[0]


async def test_one_group_alone() -> None:
    with pytest.raises(NoRowsError, match="compares at least two levels"):
        await run({"numbers": [X]}, x=[1, 2], g=[0, 0])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({}, "at least one number or category"), ({"categories": [G]}, "listed twice"), ({"numbers": [X, X]}, "twice")],
)
def test_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        parse_spec(SPEC | changes)
