"""Replay: an honest coordinator's queries follow, however its machine rounds; queries of its own choice do not.

`make replay` tests more: RUNS of each analysis, and QUERIES that do not follow.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from os import environ
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.demo.lung import lung_by_institution
from participant.analyses.base.errors import AnalysisError
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.spec import TableSpec
from participant.analyses.catalogue import parse_spec
from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.evaluation.registry import COUNTS
from participant.statistics.language.query import Query, canonical
from participant.statistics.vocabulary.counts import CountsParams
from participant.study.plan import NamedSpec
from participant.study.replay import ATTEMPTS, TOLERANCE, Occurrence, Replay, RunReplay
from secagg.errors import ParameterError
from tests.support.plain_sum import PlainSum
from tests.support.rounding import other_rounding
from tests.unit.participant.analyses.test_examples import EXAMPLES

RUNS = int(environ.get("RUNS", "2"))
SITES = lung_by_institution()
QUERIES = int(environ.get("QUERIES", "300"))
ITERATIVE = ("glm", "cox", "k-means", "ordinal", "descriptive", "imputation", "federated-training", "negative-binomial")


class Recorded(PlainSum):
    """The sums of a run, in order."""

    def __init__(self, **options: Any) -> None:
        super().__init__(SITES, quantised=True, **options)
        self.answers: list[tuple[BoundQuery, Sum]] = []

    async def __call__(self, query: BoundQuery) -> Sum:
        answer = await super().__call__(query)
        self.answers.append((query, answer))
        return answer


def always(_name: str, _number: int) -> bool:
    return True


def spec_of(analysis: str) -> TableSpec:
    return parse_spec(next(one for one in EXAMPLES if one["analysis"] == analysis))


async def carried_out(*specs: TableSpec, **options: Any) -> Recorded:
    run = Recorded(**options)
    for spec in specs:
        with suppress(AnalysisError):
            await spec.analyse(run)
    return run


def followed(run: Recorded, *tasks: NamedSpec) -> list[Occurrence | None]:
    """Return what each question of a run is, up to the first that does not follow."""
    replay, found = RunReplay(tasks, {run.value_bits}), []
    for query, answer in run.answers:
        found.append(replay.follows(query, always))
        if found[-1] is None:
            break
        assert replay.follows(query, always) == found[-1]  # asked again, after a round without a sum
        replay.observe(query, answer.values, answer.sites)
    return found


@pytest.mark.parametrize("seed", range(RUNS))
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one["analysis"])
async def test_every_analysis_follows_on_a_machine_that_rounds_otherwise(example: dict[str, Any], seed: int) -> None:
    """In every other run a site is lost after a few sums, and some analyses begin again without it."""
    spec = parse_spec(example)
    lost = [set(), set(), {"institution-01"}] if seed % 2 else []
    with other_rounding(seed):
        run = await carried_out(spec, lost=lost)
    assert run.answers
    assert None not in followed(run, NamedSpec("task", spec))


async def test_the_other_machine_asks_other_bytes() -> None:
    """Else the test above would show nothing."""
    spec = spec_of("glm")
    here = await carried_out(spec)
    with other_rounding(1):
        there = await carried_out(spec)
    assert [one.encode() for one, _ in here.answers] != [one.encode() for one, _ in there.answers]


async def test_a_run_carries_out_tasks_in_any_order() -> None:
    tasks = [NamedSpec(name, spec_of(name)) for name in ("kaplan-meier", "glm", "k-means")]
    run = await carried_out(tasks[2].spec, tasks[1].spec, tasks[1].spec, tasks[0].spec)
    found = followed(run, *tasks)
    assert list(dict.fromkeys(found)) == [
        Occurrence(("k-means",), 0),
        Occurrence(("glm",), 1),
        Occurrence(("glm",), 2),
        Occurrence(("kaplan-meier",), 3),
    ]


async def test_tasks_that_begin_alike_are_told_apart_by_what_follows() -> None:
    one = spec_of("k-means")
    other = one.model_copy(update={"seed": 7})
    run = await carried_out(other)
    first, *_, last = followed(run, NamedSpec("one", one), NamedSpec("other", other))
    assert first == Occurrence(("one", "other"), 0)
    assert last == Occurrence(("other",), 0)


async def test_a_task_without_releases_does_not_begin() -> None:
    run = await carried_out(spec_of("glm"))
    replay = RunReplay([NamedSpec("task", spec_of("glm"))], {run.value_bits})
    assert replay.follows(run.answers[0][0], lambda _name, _number: False) is None


async def test_value_bits_are_those_of_some_number_of_sites() -> None:
    run = await carried_out(spec_of("glm"))
    replay = RunReplay([NamedSpec("task", spec_of("glm"))], {run.value_bits - 1})
    assert replay.follows(run.answers[0][0], always) is None


async def test_nothing_of_a_task_follows_before_its_first_question() -> None:
    run = await carried_out(spec_of("glm"))
    later = [query for query, _ in run.answers if query.encode() != run.answers[0][0].encode()]
    for query in later:
        assert RunReplay([NamedSpec("task", spec_of("glm"))], {run.value_bits}).follows(query, always) is None


# Decisions near their limit --------------------------------------------------------------------------------------


class Deciding(TableSpec):
    """Asks for the counts of one column, and then, by what a number is, of another one or of a third."""

    analysis: Literal["deciding"] = "deciding"
    value: float
    decisions: int = 1

    async def analyse(self, secure_sum: SecureSum) -> Any:
        await secure_sum(self.counts("first", secure_sum))
        for number in range(self.decisions):
            name = "below" if secure_sum.below(self.value, 1.0) else "above"
            await secure_sum(self.counts(f"{name}{number}", secure_sum))

    def counts(self, column: str, secure_sum: SecureSum) -> BoundQuery:
        params = CountsParams(columns=(column,), row_limit=self.row_limit)
        return self.ask(COUNTS, params, secure_sum.value_bits)


class Zeros(SecureSum):
    """Sums of nothing; it decides as it is told."""

    def __init__(self, *, below: list[bool]) -> None:
        self.value_bits, self.asked, self._below = 40, [], iter(below)

    async def __call__(self, query: BoundQuery) -> Sum:
        self.asked.append(query)
        return Sum(query.layout.unflatten(np.zeros(query.layout.length)), ("a", "b", "c"))

    def below(self, _value: float, _limit: float) -> bool:
        return next(self._below)


def follows_all(spec: TableSpec, sums: Zeros) -> bool:
    replay = RunReplay([NamedSpec("task", spec)], {sums.value_bits})
    for query in sums.asked:
        if replay.follows(query, always) is None:
            return False
        replay.observe(query, query.layout.unflatten(np.zeros(query.layout.length)), ("a", "b", "c"))
    return True


@pytest.mark.parametrize(
    "below", [[False, False, False], [True, False, True], [False, True, False], [True, True, True]]
)
@pytest.mark.parametrize(("value", "either"), [(1 + 1e-9, True), (1 - 1e-9, True), (1 + 1e-4, False), (0.5, False)])
async def test_a_decision_at_its_limit_may_go_both_ways_and_no_other(
    value: float, *, either: bool, below: list[bool]
) -> None:
    spec = Deciding(dataset="lung", row_limit=100, value=value, decisions=3)
    sums = Zeros(below=below)
    await spec.analyse(sums)
    assert follows_all(spec, sums) is (either or below == [value <= 1] * 3)


async def test_questions_that_do_not_follow_cost_a_bounded_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve decisions at their limit make thousands of courses, and every wrong question would try them all."""
    spec, decided = Deciding(dataset="lung", row_limit=100, value=1.0, decisions=12), [True, False] * 6
    sums, replay = Zeros(below=decided), RunReplay([NamedSpec("task", spec)], {40})
    await spec.analyse(sums)
    for query in sums.asked[:-1]:
        assert replay.follows(query, always) is not None
        replay.observe(query, query.layout.unflatten(np.zeros(query.layout.length)), ("a", "b", "c"))
    steps, one_step = [], Replay._next
    monkeypatch.setattr(Replay, "_next", lambda self, answer: steps.append(1) or one_step(self, answer))
    wrong = bind(sums.asked[-1].query.model_copy(update={"dataset": "other"}))
    for _ in range(50):
        assert replay.follows(wrong, always) is None
    assert ATTEMPTS < len(steps) <= (ATTEMPTS + 2) * (len(sums.asked) + 1)


# Queries that are not the one that follows -----------------------------------------------------------------------


@cache
def recorded() -> list[tuple[RunReplay, BoundQuery]]:
    """Every question of some runs, with the run replayed up to it."""
    found = []
    for analysis in ITERATIVE:
        task = NamedSpec("task", spec_of(analysis))
        run = asyncio.run(carried_out(task.spec))
        places = range(min(len(run.answers), 12))
        for place in places:
            replay = RunReplay([task], {run.value_bits})
            for query, answer in run.answers[:place]:
                replay.observe(query, answer.values, answer.sites)
            found.append((replay, run.answers[place][0]))
    return found


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    """End the analyses that are still asked, before the interpreter does."""
    yield
    recorded.cache_clear()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the paths of all members and items, the inner ones too."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in inside:
        yield (*path, name)
        yield from leaves(member, (*path, name))


def mutated(document: Any, path: tuple[Any, ...], how: int) -> Any:
    """Return a document with one member changed: moved well beyond the tolerance, renamed, flipped, or gone."""
    changed = json.loads(json.dumps(document))
    *outer, last = path
    inside = changed
    for step in outer:
        inside = inside[step]
    value = inside[last]
    if isinstance(value, bool):
        inside[last] = not value
    elif isinstance(value, int | float):
        beside = (
            [abs(one) for one in inside if isinstance(one, int | float)] if isinstance(inside, list) else [abs(value)]
        )
        far = 10 ** (how % 5) * 10 * TOLERANCE * max(beside, default=0.0)
        inside[last] = value + 1 if isinstance(value, int) and how % 2 else value + (far or 1.0)
    elif isinstance(value, str):
        inside[last] = value + "x" if how % 2 else "age"
    elif isinstance(value, list) and value:
        inside[last] = value[:-1] if how % 2 else [*value, value[0]]
    else:
        inside[last] = 1
    return changed


@settings(max_examples=QUERIES)
@given(st.data())
def test_a_query_that_is_changed_anywhere_is_declined(data: st.DataObject) -> None:
    """One that is no query any more is declined as that."""
    replay, query = data.draw(st.sampled_from(recorded()))
    document = json.loads(query.encode())
    path = data.draw(st.sampled_from(list(leaves(document))))
    changed = mutated(document, path, data.draw(st.integers(0, 9)))
    try:
        forged = bind(Query.decode(canonical(changed)))
    except ParameterError:
        return
    if forged.encode() != query.encode():
        assert replay.follows(forged, always) is None, path
    assert replay.follows(query, always) is not None
