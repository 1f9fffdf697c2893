"""Breadth-first search: visits every reachable state; a trace to a bad state is a shortest one."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

S = TypeVar("S", bound=Hashable)


class Model(Protocol[S]):
    """What the search needs from a model. States that `canonical` maps to the same state differ only in names."""

    def start(self) -> S: ...
    def steps(self, state: S) -> Iterable[tuple[str, S]]: ...
    def violations(self, state: S) -> Iterable[tuple[str, str]]: ...
    def canonical(self, state: S) -> S: ...


@dataclass(frozen=True)
class Found:
    """The result of a search: the number of states, and for each broken property a shortest trace to it."""

    states: int
    broken: dict[str, tuple[str, ...]]


def search(model: Model[S], *, until: str | None = None) -> Found:
    """Visit all reachable states, or those up to the first one that breaks the given property."""
    first = model.canonical(model.start())
    parents: dict[S, S | None] = {first: None}
    broken: dict[str, tuple[str, ...]] = {}
    layer = [first]
    while layer:
        following = []
        for state in layer:
            for broken_property, detail in model.violations(state):
                if broken_property not in broken:
                    broken[broken_property] = (*_trace(model, _path(parents, state)), detail)
            if until in broken:
                return Found(len(parents), broken)
            for _, after in model.steps(state):
                known = model.canonical(after)
                if known not in parents:
                    parents[known] = state
                    following.append(known)
        layer = following
    return Found(len(parents), broken)


def _path(parents: dict[S, S | None], state: S) -> list[S]:
    path: list[S] = []
    at: S | None = state
    while at is not None:
        path.append(at)
        at = parents[at]
    return path[::-1]


def _trace(model: Model[S], path: list[S]) -> Iterator[str]:
    """Replay a path of canonical states with names that stay the same from step to step."""
    state = model.start()
    for goal in path[1:]:
        label, state = next(step for step in model.steps(state) if model.canonical(step[1]) == goal)
        yield label
