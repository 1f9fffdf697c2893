"""The declaration of an endpoint, from which it is served, described in OpenAPI and tested."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias

from aiohttp import web
from sqlalchemy import Connection

from relay.server.core.problem import Problem, ProblemKind
from relay.server.http.access import Access
from relay.server.http.body import Body
from relay.server.http.context import B, Call, Q, RouteAnswer

Reading = Callable[[Call[Q, B], Connection], RouteAnswer]
Writing = Callable[[Call[Q, B], Connection], RouteAnswer | Problem]
Streaming = Callable[[Call[Q, B], web.Request], Awaitable[RouteAnswer | web.StreamResponse]]
Stage = Callable[[Call[Q, B]], AbstractAsyncContextManager[None]]

OCTETS = bytes
"""Marks a body of bytes in `answers`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Q, B]):
    """An endpoint.

    Exactly one of `reads`, `writes` and `streams` is its handler. `reads` runs over a consistent view, `writes` in a
    transaction that also records the nonce; `streams` may wait and opens views itself.

    Attributes:
        name: endpoint's name in OpenAPI, metrics and logs.
        access: who may call it. There is no default.
        answers: type of the content by status; None for no content.
        refusals: kinds of problem beyond those common to every endpoint.
        query: type of the query parameters.
        body: kind of body.
        again: rebuilds the answer to a repeated write; for answers too large to be stored.
        appends: whether the write only adds rows and advances rows by compare-and-set, see `Database.write`.
        stage: wraps the transaction of a write with work that takes too long to be part of it.
    """

    name: str
    method: str
    path: str
    summary: str
    access: Access
    answers: Mapping[int, Any]
    reads: Reading[Q, B] | None = None
    writes: Writing[Q, B] | None = None
    streams: Streaming[Q, B] | None = None
    refusals: tuple[ProblemKind, ...] = ()
    query: type[Q] | None = None
    body: Body[B] | None = None
    again: Reading[Q, B] | None = None
    appends: bool = False
    stage: Stage[Q, B] | None = None

    def __post_init__(self) -> None:
        if sum(handler is not None for handler in (self.reads, self.writes, self.streams)) != 1:
            raise TypeError(f"{self.name} must read, write or stream")
        if not isinstance(self.access, Access):
            raise TypeError(f"{self.name} must say who may call it")


AnyRoute: TypeAlias = Route[Any, Any]
