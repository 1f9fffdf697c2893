"""Replay: whether a question follows from a plan and from the sums so far.

An analysis is a coroutine that awaits only its secure sum. A site drives the same coroutine with the sums that it
holds, and so knows the next question in advance. A question follows if it is the expected one: equal in all members
except the parameters that analyses compute by linear algebra, which processors round differently (`FROM_SUMS`). These
must agree to a millionth of their array's largest entry.

If such a number decides how an analysis continues (has it converged?) and lies within a millionth of its limit, an
honest coordinator may have decided either way. On a mismatch, the replay goes back and reverses such decisions, latest
first, among the courses that ask all that was asked. A coroutine cannot go back, so each attempt begins anew; however
many questions do not follow, the attempts of a run together take at most `ATTEMPTS` times as long as the run itself.

Nothing here looks at rows, so every party to the run can tell which questions follow.
"""

from collections.abc import Callable, Collection, Coroutine, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum, Sum, value_bits_for
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.bound import BoundQuery, with_floors
from participant.statistics.evaluation.registry import STATISTICS
from participant.statistics.language.from_sums import split
from participant.statistics.language.inner import AroundParams
from participant.statistics.language.layout import Array
from participant.statistics.language.query import canonical
from participant.statistics.language.statistic import Params
from participant.study.plan import NamedSpec
from participant.study.terms import ProjectTerms

TOLERANCE = 1e-6
"""Tolerance as a share of an array's largest entry, and of a limit at which a decision may go either way."""
ATTEMPTS = 64
"""Steps that replays with other decisions may take together, for each step of the run."""


def is_same(asked: BoundQuery, expected: BoundQuery) -> bool:
    """Return whether a query is the expected one, up to rounding."""
    (exact, arrays), (other, theirs) = _split(asked), _split(expected)
    return exact == other and all(_is_close(one, two) for one, two in zip(arrays, theirs, strict=True))


def _is_close(asked: Array, expected: Array) -> bool:
    return bool((np.abs(asked - expected) <= TOLERANCE * np.abs(expected).max(initial=0.0)).all())


def _split(query: BoundQuery) -> tuple[bytes, list[Array]]:
    """Return a query's canonical bytes without the arrays that may differ, and those arrays."""
    exact, arrays = _split_params(query.params)
    outside = query.query.model_dump(mode="json", exclude={"params"})
    return canonical({**outside, "params": exact}), arrays


def _split_params(given: Params) -> tuple[dict[str, Any], list[Array]]:
    exact, arrays = split(given)
    if isinstance(given, AroundParams):
        inside: Params = STATISTICS[given.statistic].Params.model_validate_json(canonical(given.params))
        exact["params"], within = _split_params(inside)
        arrays += within
    return exact, arrays


class _Asked:
    """An awaitable that hands a query to the coroutine's driver and returns the resulting sum."""

    def __init__(self, query: BoundQuery) -> None:
        self._query = query

    def __await__(self) -> Generator[BoundQuery, Sum, Sum]:
        return (yield self._query)


class _Replayed(SecureSum):
    """The secure sum of a replay; decisions near their limit are those prescribed, or else those computed here.

    Attributes:
        decided: outcomes of the decisions near their limit, in order.
    """

    def __init__(self, value_bits: int, told: Sequence[bool], *, pooled: bool) -> None:
        self.value_bits = value_bits
        self.pooled = pooled
        self.decided: list[bool] = []
        self._told = told

    async def __call__(self, query: BoundQuery) -> Sum:
        return await _Asked(with_floors(query, pooled=self.pooled))

    def below(self, value: float, limit: float) -> bool:
        is_below = super().below(value, limit)
        if abs(value - limit) > TOLERANCE * max(abs(value), abs(limit)):
            return is_below
        place = len(self.decided)
        self.decided.append(self._told[place] if place < len(self._told) else is_below)
        return self.decided[-1]


class Replay:
    """One task, driven by its sums.

    Attributes:
        expected: next question; None once the analysis has ended, with or without a result.
        failure: reason why it ended without a result.
    """

    def __init__(self, spec: TableSpec, value_bits: int, told: Sequence[bool] = (), *, pooled: bool = False) -> None:
        self._secure_sum = _Replayed(value_bits, told, pooled=pooled)
        self._told = len(told)
        self.failure: Exception | None = None
        self._analysis: Coroutine[Any, Any, AnalysisResult] = spec.analyse(self._secure_sum)
        self.expected = self._next(None)

    def feed(self, answer: Sum) -> None:
        """Continue with the sum that answers the expected question."""
        self.expected = self._next(answer)

    def asks(self, query: BoundQuery) -> bool:
        """Return whether a query is the expected one."""
        return self.expected is not None and is_same(query, self.expected)

    def otherwise(self) -> Iterator[list[bool]]:
        """Yield this replay's decisions with one of its own reversed, latest first."""
        decided = self._secure_sum.decided
        for place in range(len(decided) - 1, self._told - 1, -1):
            yield [*decided[:place], not decided[place]]

    def _next(self, answer: Sum | None) -> BoundQuery | None:
        try:
            query: BoundQuery = self._analysis.send(answer)
        except StopIteration:
            return None
        except Exception as error:  # noqa: BLE001  # what a library raises on odd sums ends the coordinator's, too
            self.failure = error
            return None
        return query


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A task that a question may belong to.

    Attributes:
        names: names of the possible tasks; several as long as they ask the same questions.
        number: number of tasks that the run has finished before this one.
    """

    names: tuple[str, ...]
    number: int


@dataclass(frozen=True, slots=True)
class _Path:
    """One interpretation of a run: the tasks that it has finished, and the current one.

    Attributes:
        number: number of tasks that it has finished.
        task: the current task.
        begun: number of sums of the run before the current task.
        value_bits: its number of bits per value.
        replay: replay of the current task.
    """

    number: int
    task: NamedSpec
    begun: int
    value_bits: int
    replay: Replay


class RunReplay:
    """The possible courses of a run under the plan: the tasks that it may be carrying out.

    A run may carry out any tasks of the plan in any order; several may begin with the same question.

    Args:
        tasks: tasks of the plan.
        value_bits: numbers of bits per value, each of which leaves room for some number of the roster's sites.
        pooled: whether the floors hold over all sites.
    """

    def __init__(self, tasks: Sequence[NamedSpec], value_bits: Collection[int], *, pooled: bool = False) -> None:
        self._tasks = tasks
        self._value_bits = value_bits
        self._pooled = pooled
        self._paths: list[_Path] = []
        self._sums: list[tuple[BoundQuery, Sum]] = []
        self._steps = 0  # taken by replays with other decisions

    @classmethod
    def of(cls, terms: ProjectTerms, roster: int) -> "RunReplay":
        """Return the replay of a new run.

        Args:
            terms: terms of its project, with a plan.
            roster: number of sites in its roster.
        """
        assert terms.plan is not None  # without a plan, no question follows
        some = range(terms.minimum_sites, roster + 1)
        bits = {value_bits_for(sites, terms.ring_bits) for sites in some}
        return cls(terms.plan.specs(terms.dataset), bits, pooled=terms.pooled)

    def follows(self, query: BoundQuery, is_left: Callable[[str, int], bool]) -> Occurrence | None:
        """Return the task of a question, or None if the question does not follow.

        Args:
            query: question.
            is_left: whether a task may still begin, by its name and its number in the run.
        """
        if not (found := self._read(query, is_left)):
            return None
        self._paths = found
        last = max(path.number for path in found)
        return Occurrence(tuple(dict.fromkeys(path.task.name for path in found if path.number == last)), last)

    def observe(self, query: BoundQuery, values: Mapping[str, Array], sites: tuple[str, ...]) -> None:
        """Record the sum that answers a question that followed."""
        self._paths, answer = self._read(query, lambda _name, _number: True), Sum(values, sites)
        self._sums.append((query, answer))
        for path in self._paths:
            path.replay.feed(answer)

    def _read(self, query: BoundQuery, is_left: Callable[[str, int], bool]) -> list[_Path]:
        found = [*self._going_on(query)]
        begun = {(path.task.name, path.number) for path in found}
        for number in self._beginnings(other_ways=not found):
            for task in self._tasks:
                name, spec = task
                if (name, number) in begun or not is_left(name, number) or not self._is_of_run(query, spec):
                    continue
                replay = Replay(spec, query.query.value_bits, pooled=self._pooled)
                if replay.asks(query):
                    found.append(_Path(number, task, len(self._sums), query.query.value_bits, replay))
        return found

    def _going_on(self, query: BoundQuery) -> Iterator[_Path]:
        for path in self._paths:
            way = next((way for way in self._ways(path) if way.asks(query)), None)
            if way is not None:
                yield replace(path, replay=way)

    def _beginnings(self, *, other_ways: bool) -> list[int]:
        """Return the possible numbers of a task that begins now: those after tasks that have ended."""
        if not self._paths:
            return [0]
        ended = {path.number + 1 for path in self._paths if path.replay.expected is None}
        if not ended and other_ways:
            ended = {path.number + 1 for path in self._paths if any(way.expected is None for way in self._ways(path))}
        return sorted(ended)

    def _ways(self, path: _Path) -> Iterator[Replay]:
        """Yield a path's replay, then those that decide differently on values near their limit and ask the same."""
        yield path.replay
        waiting = [path.replay]
        while waiting:
            for told in waiting.pop().otherwise():
                if self._steps > ATTEMPTS * (len(self._sums) + 1):
                    return
                other = Replay(path.task.spec, path.value_bits, told, pooled=self._pooled)
                is_possible = self._feed(other, path.begun)
                waiting.append(other)
                if is_possible:
                    yield other

    def _feed(self, replay: Replay, begun: int) -> bool:
        """Feed the run's sums to a replay, and return whether it asks all that was asked."""
        for query, answer in self._sums[begun:]:
            self._steps += 1
            if not replay.asks(query):
                return False
            replay.feed(answer)
        self._steps += 1
        return True

    def _is_of_run(self, query: BoundQuery, spec: TableSpec) -> bool:
        return spec.value_bits is not None or query.query.value_bits in self._value_bits
