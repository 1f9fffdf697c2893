"""Replay: what an honest coordinator asks follows, whatever its machine rounds; what it chooses itself does not."""

from contextlib import suppress
from typing import Any

import pytest

from coordinator.demo.lung import lung_by_institution
from participant.analyses.base.errors import AnalysisError
from participant.analyses.base.secure_sum import Sum
from participant.analyses.catalogue import parse_spec
from participant.statistics.evaluation.bound import BoundQuery
from participant.study.plan import NamedSpec
from participant.study.replay import RunReplay
from tests.support.plain_sum import PlainSum
from tests.support.rounding import other_rounding
from tests.unit.participant.analyses.test_examples import EXAMPLES

RUNS = 2


class Recorded(PlainSum):
    """The sums of a run, in order."""

    def __init__(self, **options: Any) -> None:
        super().__init__(lung_by_institution(), quantised=True, **options)
        self.answers: list[tuple[BoundQuery, Sum]] = []

    async def __call__(self, query: BoundQuery) -> Sum:
        answer = await super().__call__(query)
        self.answers.append((BoundQuery.decode(query.encode()), answer))
        return answer


def always(_name: str, _number: int) -> bool:
    return True


def declined(run: Recorded, *tasks: NamedSpec) -> list[int]:
    """Return the places of the questions that did not follow."""
    replay = RunReplay(tasks, {run.value_bits})
    found = []
    for place, (query, answer) in enumerate(run.answers):
        if replay.follows(query, always) is None:
            found.append(place)
            break
        replay.observe(query, answer.values, answer.sites)
    return found


@pytest.mark.parametrize("seed", range(RUNS))
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one["analysis"])
async def test_every_analysis_follows_on_a_machine_that_rounds_otherwise(example: dict[str, Any], seed: int) -> None:
    spec, run = parse_spec(example), Recorded()
    with other_rounding(seed), suppress(AnalysisError):
        await spec.analyse(run)
    assert run.answers
    assert declined(run, NamedSpec("task", spec)) == []
