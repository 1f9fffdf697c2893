"""Attacks by a plan that everybody agreed to: what its honest answers tell about one person or one hospital.

The coordinator asks nothing but what follows. *Before* is the gain from exact sums without any rule, *after* the gain
from what hospitals with the default policy answer. An attack whose gain after is not 0 is open, and
the threat model says so (§3.11, §3.12).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from participant.policy.rules import Policy
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.language.layout import Array, Arrays
from tests.disclosure.study import Asked, Bare, Study, tables
from tests.support.plans import planned

World = Study | Bare
DEFAULT = Policy()
FILTERS = Policy(single_persons=True)  # a policy that lets filtered models be asked
Data = dict[str, dict[str, Array]]
AGE = {"column": "age", "low": 18, "high": 100}
STATUS = {"column": "status", "low": 0, "high": 1}
COST = {"column": "cost", "low": 0, "high": 1_000_000}
SEX = {"column": "sex", "levels": [1, 2]}


def model(name: str, formula: str = "status ~ age + C(sex)", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "analysis": "glm",
        "formula": formula,
        "family": "binomial",
        "numbers": [AGE, STATUS],
        "categories": [SEX],
        **more,
    }


def sums(asked: Asked, statistic: str, number: int = 0) -> Arrays:
    """Return the sums of a task's questions for a statistic, the first by default; none if nobody answered."""
    found = [one.values for query, one in asked if query.statistic.name == statistic]
    return found[number] if len(found) > number else {}


def with_person(data: Data, site: str = "c", **values: float) -> Data:
    """Return the data with the first patient of a hospital replaced."""
    for name, value in values.items():
        data[site][name][0] = value
    return data


def rows(columns: Mapping[str, Array], keep: Any) -> dict[str, Array]:
    return {name: values[keep] for name, values in columns.items()}


@dataclass(frozen=True)
class Attack:
    """An attack; its gain is in persons, hospitals or bits, as `unit` says.

    Attributes:
        carry_out: what the coordinator does, and what it then knows that is true.
        after: most that it gains under the rules; 0 unless it is open.
    """

    carry_out: Callable[[World], Awaitable[float]]
    tasks: tuple[dict[str, Any], ...]
    data: Callable[[], Data]
    unit: str = "persons"
    before: float = 1.0
    after: float = 0.0
    policy: Policy = DEFAULT
    plan: Mapping[str, Any] = field(default_factory=dict)


# One person by the difference of two answers -------------------------------------------------------------------------

OLDEST = 83.0


def oldest() -> Data:
    return with_person(tables(), age=OLDEST, sex=2.0, status=1.0)


def tells_apart(first: Arrays, second: Arrays) -> float:
    """Return whether two answers differ by one person, whose outcome the difference tells."""
    if not first or not second or first["rows"] - second["rows"] != 1:
        return 0.0
    return float((first["sums"] - second["sums"])[0] + 0.5 == 1)  # sums are about the middle of the range


async def filters_that_differ_by_one_person(world: World) -> float:
    everybody, others = [sums(await world.carry_out(task), "moments") for task in ("all", "others")]
    return tells_apart(everybody, others)


async def a_patient_who_is_added(world: World) -> float:
    before = sums(await world.carry_out("all"), "moments")
    world.imports("c", oldest()["c"])
    return tells_apart(sums(await world.carry_out("all"), "moments"), before)


async def a_patient_who_withdraws(world: World) -> float:
    before = sums(await world.carry_out("all"), "moments")
    world.imports("c", rows(oldest()["c"], slice(1, None)))
    return tells_apart(before, sums(await world.carry_out("all"), "moments"))


async def a_value_that_only_one_lacks(world: World) -> float:
    """The rows with a cost are all but one."""
    everybody, complete = [sums(await world.carry_out(task), "moments") for task in ("all", "costs")]
    if not everybody or not complete:
        return 0.0
    return float(everybody["rows"] - complete["rows"] == 1)


async def three_answers(world: World) -> float:
    """All, the younger and the older: each is far from the others, and who is in neither part is known."""
    everybody, younger, older = [sums(await world.carry_out(task), "moments") for task in ("all", "younger", "older")]
    if not (everybody and younger and older):
        return 0.0
    rest = {name: everybody[name] - younger[name] for name in ("rows", "sums")}
    return tells_apart(rest, older)


def aged_sixty() -> Data:
    data = tables()
    for columns in data.values():
        columns["age"][columns["age"] == 60] = 61
    return with_person(data, age=60.0, status=1.0)


def without_a_cost() -> Data:
    return with_person(tables(), cost=np.nan)


def without_the_oldest() -> Data:
    data = oldest()
    data["c"] = rows(data["c"], slice(1, None))
    return data


def at(op: str, value: float) -> list[dict[str, Any]]:
    return [{"column": "age", "op": op, "value": value}]


# One person in one answer --------------------------------------------------------------------------------------------


async def a_value_out_of_range(world: World) -> float:
    """How many are beyond a range of the plan's: one."""
    found = sums(await world.carry_out("all"), "glm-score")
    return float(bool(found) and 1.0 in found["outside"])


async def a_patient_who_dominates(world: World) -> float:
    """The root of a sum of squares is nearly its largest value, if that is far above all others."""
    found = sums(await world.carry_out("costs"), "moments")
    if not found:
        return 0.0
    middle = COST["high"] / 2
    squares = found["squares"][0] + 2 * middle * found["sums"][0] + found["rows"] * middle**2
    return float(np.isclose(np.sqrt(squares), DEAR, rtol=0.01))


DEAR = 900_000.0


async def a_level_of_one(world: World) -> float:
    """At first the information of a level is p (1 - p) times its persons, and p is known."""
    asked = await world.carry_out("levels")
    outcome, found = sums(asked, "moments"), sums(asked, "glm-score")
    if not found:
        return 0.0
    share = float(outcome["sums"][0] / outcome["rows"]) + 0.5
    return float(bool(np.isclose(found["information"], share * (1 - share)).any()))


async def the_last_cell_of_a_histogram(world: World) -> float:
    found = sums(await world.carry_out("ages"), "histogram")
    return float(bool(found) and bool((np.asarray(found["counts"]) == 1).any()))


async def a_group_of_one(world: World) -> float:
    found = sums(await world.carry_out("groups"), "class-moments")
    return float(bool(found) and 1.0 in found["counts"])


async def a_daily_grid(world: World) -> float:
    """Days with one event each, by group."""
    found = await world.carry_out("curve")
    return float(any("events" in one.values and bool((one.values["events"] == 1).any()) for _, one in found))


def with_a_rare_sex() -> Data:
    data = tables()
    for columns in data.values():
        columns["sex"][:] = np.where(np.arange(60) % 2, 1.0, 2.0)
    return with_person(data, sex=3.0)


# One hospital --------------------------------------------------------------------------------------------------------


async def all_others_hide(world: World) -> float:
    """A filter that only one hospital has enough patients for: the sum over four hospitals is that one's."""
    asked = await world.carry_out("dear")
    alone = rich()["c"]
    for query, one in asked:
        if query.statistic.name == "moments" and query.query.filter:
            mine = query.layout.unflatten(evaluate(query, alone))
            return float(np.allclose(one.values["sums"], mine["sums"]) and one.values["rows"] == mine["rows"])
    return 0.0


def rich() -> Data:
    data = tables()
    for site, columns in data.items():
        columns["cost"][: 20 if site == "c" else 3] = 5000.0
    return data


async def a_table_that_one_hides(world: World) -> float:
    """Its cells are hidden in one table and not in another: the difference is the hospital's own."""
    hidden, shown = [sums(await world.carry_out(task), "contingency") for task in ("small", "large")]
    if not hidden or not shown:
        return 0.0
    gap = (np.asarray(shown["counts"]).sum(1) - np.asarray(hidden["counts"]).sum(1))[:2]
    columns = small_cell()["c"]
    mine = [float((columns["sex"] == level).sum()) for level in (1, 2)]
    small = [float(((columns["sex"] == level) & (columns["status"] == 1)).sum()) for level in (1, 2)]
    return float(any(g in (m, s) and g > 0 for g, m, s in zip(gap, mine, small, strict=True)))


def small_cell() -> Data:
    data = tables()
    for columns in data.values():
        columns["group"] = np.arange(60) % 2 * 1.0
    here = data["c"]
    here["sex"][:] = np.where(np.arange(60) < 30, 1.0, 2.0)
    here["status"][:] = np.where(np.arange(60) % 30 < 15, 1.0, 0.0)
    here["status"][here["sex"] == 1] = 0.0
    here["status"][:2] = 1.0
    return data


async def more_parameters_than_its_rows_allow(world: World) -> float:
    """A hospital that a model of few parameters includes, and one of many leaves out."""
    few, many = [sums(await world.carry_out(task), "glm-score") for task in ("few", "many")]
    if not few or not many:
        return 0.0
    return float(few["rows"] - many["rows"] == len(narrow()["c"]["age"]))


def narrow() -> Data:
    data = tables(rows=120)
    data["c"] = rows(data["c"], slice(0, 55))
    for columns in data.values():
        draw = np.random.default_rng(5)  # noqa: TID251 - made-up patients
        columns.update({f"x{i}": np.round(draw.uniform(0, 9, len(columns["age"]))) for i in range(20)})
    return data


MANY = [f"x{i}" for i in range(20)]
CROSSTAB = {"analysis": "chi-square", "row": SEX}
ATTACKS = [
    Attack(
        filters_that_differ_by_one_person,
        (model("all"), model("others", filter=at("<", OLDEST))),
        oldest,
        policy=FILTERS,
    ),
    Attack(a_patient_who_is_added, (model("all"),), without_the_oldest, plan={"data": "growing"}),
    Attack(a_patient_who_withdraws, (model("all"),), oldest, plan={"data": "growing"}),
    Attack(
        a_value_that_only_one_lacks,
        (model("all"), model("costs", "status ~ age + C(sex) + cost", numbers=[AGE, STATUS, COST])),
        without_a_cost,
    ),
    Attack(
        three_answers,
        (model("all"), model("younger", filter=at("<", 60)), model("older", filter=at(">", 60))),
        aged_sixty,
        after=1.0,
        policy=FILTERS,
    ),
    Attack(
        a_value_out_of_range,
        (model("all", numbers=[AGE | {"high": 80}, STATUS]),),
        oldest,
        unit="bits",
    ),
    Attack(
        a_patient_who_dominates,
        ({"name": "costs", "analysis": "descriptive", "numbers": [COST]},),
        lambda: with_person(tables(), cost=DEAR),
    ),
    Attack(
        a_level_of_one,
        (model("levels", categories=[{"column": "sex", "levels": [1, 2, 3]}]),),
        with_a_rare_sex,
    ),
    Attack(
        the_last_cell_of_a_histogram,
        (
            {
                "name": "ages",
                "analysis": "histogram",
                "variable": AGE,
                "origin": 40,
                "width": 1,
                "bins": 50,
            },
        ),
        oldest,
    ),
    Attack(
        a_group_of_one,
        (
            {
                "name": "groups",
                "analysis": "t-test",
                "kind": "welch",
                "variable": AGE,
                "by": {"column": "sex", "levels": [1, 3]},
            },
        ),
        with_a_rare_sex,
    ),
    Attack(
        a_daily_grid,
        (
            {
                "name": "curve",
                "analysis": "kaplan-meier",
                "time": "time",
                "event": "status",
                "grid": {"width": 1, "count": 700},
            },
        ),
        tables,
    ),
    Attack(
        all_others_hide,
        (model("dear", filter=[{"column": "cost", "op": ">", "value": 4000}]),),
        rich,
        unit="hospitals",
        before=0.0,
        after=1.0,
        policy=FILTERS,
    ),
    Attack(
        a_table_that_one_hides,
        (
            CROSSTAB | {"name": "small", "column": {"column": "status", "levels": [0, 1]}},
            CROSSTAB | {"name": "large", "column": {"column": "group", "levels": [0, 1]}},
        ),
        small_cell,
        unit="hospitals",
        before=0.0,
        after=1.0,
    ),
    Attack(
        more_parameters_than_its_rows_allow,
        (
            model("few", "status ~ age", categories=[]),
            model(
                "many",
                f"status ~ age + {' + '.join(MANY)}",
                numbers=[AGE, STATUS, *({"column": x, "low": 0, "high": 10} for x in MANY)],
                categories=[],
            ),
        ),
        narrow,
        unit="hospitals",
        before=0.0,
    ),
]


def gained(one: Attack, folder: Path | None = None) -> float:
    """Return an attack's gain, from hospitals with data in this folder or from bare sums."""
    terms = planned(*one.tasks, **one.plan)
    world: World = Bare(terms, one.data()) if folder is None else Study(folder, terms, one.data(), one.policy)
    try:
        return asyncio.run(_carried_out(one, world))
    finally:
        if isinstance(world, Study):
            world.close()


async def _carried_out(one: Attack, world: World) -> float:
    return await one.carry_out(world)


@pytest.mark.parametrize("one", ATTACKS, ids=lambda one: one.carry_out.__name__)
def test_an_agreed_plan(one: Attack, tmp_path: Path) -> None:
    assert gained(one) == one.before
    assert gained(one, tmp_path) == one.after
