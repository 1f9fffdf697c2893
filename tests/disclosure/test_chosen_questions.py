"""Attacks by queries that a coordinator chooses: each is carried out and its gain measured; with a plan there is none.

*Before* is a project without a plan whose sites answer: the attack runs on the sums of real statistics, with the floors
that the default policy requires. *After* is the same query in a project with a plan: every site declines it before it
computes anything, for reasons independent of its rows.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.language.conditions import Comparison
from participant.statistics.language.layout import Arrays
from participant.statistics.language.query import canonical
from participant.statistics.vocabulary.ranges import CLIPPED
from participant.study.replay import RunReplay
from participant.study.terms import ProjectTerms
from tests.support.plain_sum import PlainSum
from tests.support.plans import LOGISTIC, planned

OLDEST = 83.0  # one person's age, at site c
SMALL = 7  # rows of site c that meet the filter of `FEW`


def table(seed: int, rows: int, *, oldest: bool = False) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)  # noqa: TID251 - made-up patients
    ages = draw.integers(40, 81, rows).astype(float)
    found = {"age": ages, "sex": draw.integers(1, 3, rows).astype(float), "status": draw.integers(0, 2, rows) * 1.0}
    if oldest:
        found["age"][0], found["sex"][0] = OLDEST, 2.0
    return found


SITES = {"a": table(1, 60), "b": table(2, 60), "c": table(3, 60, oldest=True), "d": table(4, 60)}
DESCRIBED = {
    "name": "ages",
    "analysis": "descriptive",
    "numbers": [{"column": "age", "low": 18, "high": 100, "width": 1}],
}
TRAINED = {
    "name": "training",
    "analysis": "federated-training",
    "formula": "status ~ age + C(sex)",
    "numbers": LOGISTIC["numbers"],
    "categories": LOGISTIC["categories"],
    "trainer": "logistic-regression",
    "settings": {"rate": 0.001, "steps": 1, "penalty": 0.0, "proximal": 0.0},
    "rounds": 3,
}


class Run(PlainSum):
    """A run of a plan's task: what it asked, and the replay of each site up to there."""

    def __init__(self, terms: ProjectTerms) -> None:
        super().__init__(SITES)
        self.asked: list[BoundQuery] = []
        self.replays: list[RunReplay] = []
        [self._task] = terms.plan.specs(terms.dataset)
        self._answers: list[Any] = []

    async def __call__(self, query: BoundQuery) -> Any:
        replay = RunReplay([self._task], {self.value_bits})
        for earlier, sums in self._answers:
            replay.observe(earlier, sums.values, sums.sites)
        self.asked.append(query)
        self.replays.append(replay)
        answer = await super().__call__(query)
        self._answers.append((query, answer))
        return answer

    def carried_out(self) -> "Run":
        asyncio.run(self._task.spec.analyse(self))
        return self


def forged(query: BoundQuery, *, params: dict[str, Any] | None = None, **outside: Any) -> BoundQuery:
    changed = {**outside, "params": {**query.query.params, **(params or {})}}
    return bind(query.query.model_copy(update=changed))


def summed(query: BoundQuery, *sites: str) -> Arrays:
    """The sum over some sites, or over all: what the coordinator reads."""
    tables = {name: SITES[name] for name in sites or SITES}
    return asyncio.run(PlainSum(tables)(query)).values


def first_of(statistic: str, asked: list[BoundQuery]) -> int:
    return next(place for place, query in enumerate(asked) if query.statistic.name == statistic)


def chosen_floors(query: BoundQuery) -> tuple[list[BoundQuery], float]:
    """A filter that few rows of one site meet, under a floor below them and one above: the difference is the site."""
    ages = {"variables": [{"column": "age", "low": 18.0, "high": 100.0}]}
    filtered = forged(query, params=ages, columns=("age",), filter=_older_than_a_few())
    low, high = (forged(filtered, minimum_persons=floor) for floor in (5, SMALL + 1))
    gained = {name: values - summed(high)[name] for name, values in summed(low).items()}
    alone = summed(low, "c")
    exact = all(np.allclose(gained[name], alone[name]) for name in ("rows", "sums", "squares") if name in alone)
    return [low, high], float(exact and alone["rows"] == SMALL)


def _older_than_a_few() -> Any:
    """Conditions that exactly `SMALL` rows of site c meet, and far more of the others."""
    ages = np.sort(SITES["c"]["age"])[::-1]
    least = next(a for a in np.unique(ages)[::-1] if (SITES["c"]["age"] >= a).sum() >= SMALL)
    return (Comparison(column="age", op=">=", value=float(least)),)


def coefficients_off_a_hyperplane(query: BoundQuery) -> tuple[list[BoundQuery], float]:
    """p (1 - p) vanishes but where the linear predictor is 0: the information is that of the one person of this age."""
    ages = {"age": np.array([OLDEST, OLDEST + 1]), "sex": np.array([1.0, 1.0]), "status": np.zeros(2)}
    at, beside = query.params.design.coded(ages).z[1]  # as the model scales it
    slope = 13 / (beside - at)
    steep = [-slope * at, slope, 0.0]
    floored = forged(query, params={"coefficients": steep, "limit": 100.0})
    assert summed(floored, "c")["rows"] == 0, "under the plan's floor, that person dominates the sums of site c"
    asked = forged(floored, minimum_persons=1)
    information = summed(asked)["information"]
    whole, _, sex = information[:3]  # upper triangle by rows: 1.1, 1.age, 1.sex
    persons = whole / 0.25
    return [asked], float(np.isclose(persons, 1, atol=1e-9) and np.isclose(sex / whole, SITES["c"]["sex"][0] - 1))


def moved_edges(query: BoundQuery) -> tuple[list[BoundQuery], float]:
    """Edges above everybody but one: the last cell says whether somebody of this age is there."""
    at = [int(OLDEST) - 18 - 1]
    asked = forged(query, params={"edges": at}, minimum_persons=1)
    return [asked], float(summed(asked)["counts"][-1] == 1)


def chosen_weights(query: BoundQuery) -> tuple[list[BoundQuery], float]:
    """A model that is sure of nobody, and one that is sure of the oldest alone: the updates differ by that person."""
    models = ([-1e3, 0.0, 0.0], [60 - 40 * OLDEST, 40.0, 0.0])
    asked = [forged(query, params={"weights": weights}) for weights in models]
    without, with_ = (summed(one)["update"] for one in asked)
    one, age, sex = without - with_
    return asked, float(np.isclose(age / one, OLDEST) and np.isclose(sex / one, SITES["c"]["sex"][0] - 1))


def chosen_range_exponents(query: BoundQuery) -> tuple[list[BoundQuery], float]:
    """Ranges that cut what exceeds a power of two: how many entries were cut tells how large sites' numbers are."""
    clips = []
    asked = []
    groups = len(query.layout.exponents)
    for exponent in range(2, 14):
        narrow = bind(query.query.model_copy(update={"ranges": (exponent,) * groups}))
        asked.append(narrow)
        clips.append(float(np.sum(summed(narrow)[CLIPPED])))
    bits = sum(before != after for before, after in pairwise(clips))
    return asked, float(bits > 0)


@dataclass(frozen=True)
class Attack:
    task: dict[str, Any]
    statistic: str
    attack: Callable[[BoundQuery], tuple[list[BoundQuery], float]]


ATTACKS = [
    Attack(LOGISTIC, "moments", chosen_floors),
    Attack(LOGISTIC, "glm-score", coefficients_off_a_hyperplane),
    Attack(DESCRIBED, "histogram", moved_edges),
    Attack(LOGISTIC, "glm-score", chosen_range_exponents),
    Attack(TRAINED, "training", chosen_weights),
]


@pytest.mark.parametrize("one", ATTACKS, ids=lambda one: one.attack.__name__)
def test_a_chosen_question_gains_something_without_a_plan_and_nothing_with_one(one: Attack) -> None:
    run = Run(planned(one.task)).carried_out()
    place = first_of(one.statistic, run.asked)
    questions, gained = one.attack(run.asked[place])
    assert gained == 1.0, "the attack works on answers that nobody declines"
    follow = [run.replays[place].follows(query, lambda _name, _number: True) for query in questions]
    honest = run.replays[place].follows(run.asked[place], lambda _name, _number: True)
    assert honest is not None
    assert follow == [None] * len(questions), "each is declined, so what it gains is nothing"


def test_the_same_question_of_another_plan_is_declined() -> None:
    """One filter more, as a task of its own would be: it is the plan that says so, not the terms."""
    run = Run(planned(LOGISTIC)).carried_out()
    narrowed = bind(run.asked[0].query.model_copy(update={"filter": _older_than_a_few()}))
    assert run.replays[0].follows(narrowed, lambda _name, _number: True) is None
    assert canonical(narrowed.query.model_dump(mode="json")) != run.asked[0].encode()
