"""Checks that a question follows from its project's plan by replaying each run from the sums that this site verified.

Replays run in a thread, so the daemon's mail is read meanwhile; what they read of the ledger is fetched before.

A refusal here depends on the plan, on published sums and on the tasks started so far: the coordinator knows all of
this, and none of it concerns this site's rows.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from participant.daemon.epoch import RunContext
from participant.policy.rules import RefusedError
from participant.records.ledger import Ledger
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.pooled import read
from participant.statistics.language.query import canonical
from participant.study.plan import Plan
from participant.study.replay import Occurrence, RunReplay

MAX_RUNS = 16  # replays kept in memory; others are rebuilt from the ledger


class PlanControl:
    """Replays of the runs that this site takes part in."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._runs: dict[UUID, tuple[RunReplay | None, int]] = {}  # with the last round whose sum it has seen

    async def task(self, query: BoundQuery, context: RunContext) -> Occurrence | None:
        """Return the task of the plan that a question belongs to, None in a project without a plan.

        Args:
            query: the question.
            context: run and project of the question.

        Raises:
            RefusedError: the question does not follow from the plan and the sums so far.
        """
        plan = context.terms.plan
        if plan is None:
            return None
        used = _used(plan, self._ledger.tasks(context.project))

        def is_left(name: str, number: int) -> bool:
            begun = ((str(context.run), number), name) in used  # asked again after a round without a sum
            return begun or sum(one == name for _, one in used) < _releases(plan)[name]

        # Out of the cache meanwhile: if this is cancelled, the thread's replay is not used again.
        replay, last = self._runs.pop(context.run, (None, 0))
        replay = replay or RunReplay.of(context.terms, context.roster)
        sums = self._ledger.sums_after(context.project, context.run, last)
        found = await asyncio.to_thread(_replayed, replay, sums, query, is_left)
        while len(self._runs) >= MAX_RUNS:
            del self._runs[next(iter(self._runs))]
        self._runs[context.run] = (replay, sums[-1][0] if sums else last)
        if found is None:
            raise RefusedError(
                "the question does not follow from the project's plan and the sums so far, or its task has no releases "
                "left",
                "plan",
            )
        return found

    def forget(self, run: UUID) -> None:
        """Drop the replay of a run that is over."""
        self._runs.pop(run, None)

    def version(self, context: RunContext) -> int | None:
        """Return the dataset version used to answer a project's questions, None for the newest."""
        frozen = context.terms.plan is not None and context.terms.plan.data == "frozen"
        return self._ledger.first_version(context.project) if frozen else None


def _replayed(
    replay: RunReplay,
    sums: Sequence[tuple[int, Mapping[str, Any], Mapping[str, Any], bytes]],
    query: BoundQuery,
    is_left: Callable[[str, int], bool],
) -> Occurrence | None:
    """Feed a run's new sums to its replay, and return the task that its next question belongs to."""
    for _, upload, survivors, total in sums:
        asked = BoundQuery.decode(canonical(upload["query"]))
        values = read(asked, np.frombuffer(total, "<f8").astype(np.float64))
        replay.observe(asked, values, tuple(sorted(survivors["sites"])))
    return replay.follows(query, is_left)


def _releases(plan: Plan) -> Mapping[str, int]:
    return {task.name: task.releases for task in plan.tasks}


def _used(plan: Plan, answers: Iterable[tuple[tuple[str, int], frozenset[str]]]) -> list[tuple[tuple[str, int], str]]:
    """Return the tasks that were begun, with their places; of several candidates, that with the most releases left.

    Each answer narrows the candidates for its task. One that fits no candidate left at its place of a run belongs to
    another task: the earlier one was given up there.
    """
    begun: dict[tuple[str, int], list[frozenset[str]]] = {}
    for place, names in answers:
        known = begun.setdefault(place, [])
        if known and known[-1] & names:
            known[-1] &= names
        else:
            known.append(names)
    left = Counter(_releases(plan))
    found = []
    for place, tasks in begun.items():
        for names in tasks:
            name = max(sorted(names), key=lambda one: left[one])
            left[name] -= 1
            found.append((place, name))
    return found
