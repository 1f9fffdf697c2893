"""Attacks by a task that is not in the plan: what it would tell, and that every question of it is declined.

*Before* is the task on bare sums, as a project without a plan lets a coordinator choose it. *After* the same questions
reach hospitals that agreed to an ordinary logistic regression.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from participant.policy.rules import Policy, RefusedError
from tests.disclosure.study import Asked, Bare, Study
from tests.disclosure.test_agreed_plans import AGE, OLDEST, SEX, at, model, oldest, sums
from tests.support.plans import planned

AGREED = model("agreed")


@dataclass(frozen=True)
class Task:
    """A task, and whether its answers tell the outcome or age of the one oldest patient."""

    name: str
    document: dict[str, Any]
    tells: Callable[[Asked], bool]


def outcome_of_one(asked: Asked) -> bool:
    found = sums(asked, "moments")
    return bool(found["rows"] == 1 and found["sums"][0] + 0.5 == 1)


def weight_of_one(asked: Asked) -> bool:
    """The score of an indicator at coefficients of 0 is the outcome of its one person less a half, or the mean."""
    outcome, found = sums(asked, "moments"), sums(asked, "glm-score")
    share = float(outcome["sums"][0] / outcome["rows"]) + 0.5
    return bool(np.isclose(found["score"], 1 - share).any())


def largest_of_all(asked: Asked) -> bool:
    """Clipped from below far above all others, the sum of a value is that of the one person beyond."""
    found = sums(asked, "moments")
    low, high = 80.0, 100.0
    beyond = found["sums"][0] + found["rows"] * (high - low) / 2
    return bool(np.isclose(beyond + low, OLDEST))


def alone_in_its_cell(asked: Asked) -> bool:
    counts = np.asarray(sums(asked, "histogram")["counts"])
    return bool(counts[np.flatnonzero(counts)[-1]] == 1)


def alone_at_its_time(asked: Asked) -> bool:
    """Event counts over the ages, as if they were times."""
    events = np.asarray(sums(asked, "event-counts")["events"])
    return bool(events[np.flatnonzero(events)[-1]] == 1)


def alone_in_its_level(asked: Asked) -> bool:
    return bool(1 in np.asarray(sums(asked, "contingency")["counts"])[1])


TASKS = [
    Task("a filter for one person", model("x", filter=at("==", OLDEST)), outcome_of_one),
    Task("an indicator of one person", model("x", f"status ~ I(age > {OLDEST - 1})"), weight_of_one),
    Task(
        "a range far above all others",
        {"name": "x", "analysis": "descriptive", "numbers": [AGE | {"low": 80, "high": 100}]},
        largest_of_all,
    ),
    Task(
        "a histogram of single years",
        {"name": "x", "analysis": "histogram", "variable": AGE, "origin": 18, "width": 1, "bins": 82},
        alone_in_its_cell,
    ),
    Task(
        "event counts of another column",
        {"name": "x", "analysis": "kaplan-meier", "time": "age", "event": "status", "grid": {"width": 1, "count": 100}},
        alone_at_its_time,
    ),
    Task(
        "a level for one value",
        {
            "name": "x",
            "analysis": "chi-square",
            "row": {"column": "age", "levels": [OLDEST - 1, OLDEST]},
            "column": SEX,
        },
        alone_in_its_level,
    ),
]


async def questions(task: Task) -> Asked:
    world = Bare(planned(task.document, minimum_persons=1), oldest())
    return await world.carry_out("x")


async def declined(folder: Path, asked: Asked) -> list[tuple[str, ...]]:
    """Return the rules by which hospitals of the agreed plan decline each of these questions, none if they answer."""
    study, found = Study(folder, planned(AGREED), oldest(), Policy(single_persons=True)), []
    for query, _ in asked:
        study.begin()
        try:
            await study(query)
            found.append(())
        except RefusedError as refusal:
            found.append(refusal.rules)
    study.close()
    return found


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_beside_the_plan(task: Task, tmp_path: Path) -> None:
    asked = asyncio.run(questions(task))
    assert task.tells(asked), "one person, before"
    own = asyncio.run(questions(Task("", AGREED | {"name": "x"}, task.tells)))
    foreign = [one for one in asked if one[0].encode() not in {query.encode() for query, _ in own}]
    assert foreign
    assert asyncio.run(declined(tmp_path, foreign)) == [("plan",)] * len(foreign), "nobody, after"
