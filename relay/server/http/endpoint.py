"""Serves a declared route, in this order: signature, rule, body, rule again inside the transaction, write, answer."""

import time
from dataclasses import dataclass, replace
from typing import Any, Generic
from uuid import UUID

from aiohttp import web
from pydantic import ValidationError
from sqlalchemy import Connection

from relay.api.signing import Signed
from relay.api.wire import encode, parse_query
from relay.server.core import problem
from relay.server.core.problem import BAD_REQUEST, NONCE_REUSED, STALE_SIGNATURE, Problem
from relay.server.core.storage_errors import DatabaseBusyError
from relay.server.http.access import Access, authorise, role_of
from relay.server.http.auth import authenticate, check_digest, read_body
from relay.server.http.body import BYTES, JSON, explain
from relay.server.http.context import B, Call, Q, Relay, RouteAnswer
from relay.server.http.route import Reading, Route, Writing
from relay.server.limits.role_cache import CacheKey
from relay.server.store import nonces
from relay.service.crashpoints import crashpoint
from secagg.codec import tagged_hash

CALL = web.RequestKey("call", Call)
PROBLEM = web.RequestKey("problem", str)
REQUEST_ID = web.RequestKey("request_id", UUID)


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """An answer as it is sent, and as it is stored with the nonce of a write."""

    status: int
    content_type: str
    body: bytes

    def response(self) -> web.Response:
        return web.Response(status=self.status, body=self.body, content_type=self.content_type or None)


class Endpoint(Generic[Q, B]):
    """A route together with the relay that serves it.

    Args:
        relay: the relay's services to requests.
        route: the declaration.
    """

    def __init__(self, relay: Relay, route: Route[Q, B]) -> None:
        self.route = route
        self._relay = relay

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; raises `Problem`, or an error of the database or the disk."""
        signed = None if self.route.access is Access.PUBLIC else authenticate(request, self._relay.config.public_names)
        call: Call[Q, B] = Call(self._relay, signed.key if signed else b"", "", time.time(), dict(request.match_info))
        request[CALL] = call
        kept = None if signed is None else await self._admit(call, signed, request)
        call.query = self._query(request)
        with self._relay.bodies.room(call.signer, self._announced(request)):
            call.body = await self._body(request, signed)
            return await self._answer(call, signed, kept, request)

    async def _answer(
        self, call: Call[Q, B], signed: Signed | None, kept: EncodedAnswer | None, request: web.Request
    ) -> web.StreamResponse:
        route = self.route
        if kept is not None:
            return kept.response()
        if route.streams is not None:
            answer = await route.streams(call, request)
            return _encode(answer).response() if isinstance(answer, RouteAnswer) else answer
        if route.writes is not None and signed is not None:
            return await self._write(route.writes, call, signed, request)
        assert route.reads is not None  # a route has exactly one handler
        return await self._read(route.reads, call)

    async def _admit(self, call: Call[Q, B], signed: Signed, request: web.Request) -> EncodedAnswer | None:
        """Check the signer and its permissions before its body or its place in the queue costs anything.

        Returns:
            The stored answer if this request repeats an earlier write.
        """
        if signed.created < self._relay.epoch.floor:
            raise Problem(STALE_SIGNATURE, "the request was signed before this relay was restored; sign it again")
        self._relay.request_filter.admit_site(signed.key)
        key, role_cache = self._cache_key(call), self._relay.role_cache
        if key is not None:
            call.role = role_cache.role(key, call.now)
        try:
            if call.role:
                return None  # the transaction detects a repeated write by its nonce
            kept = await self._relay.database.read(lambda db: self._look(db, call, signed, request))
            if key is not None and kept is None:
                role_cache.remember(key, call.role, call.now)
            return kept
        finally:
            if call.role:  # an unknown key's clock means nothing
                self._relay.monitor.signed(signed.created, call.now)
                agent = request.headers.get("User-Agent", "")
                self._relay.last_seen.saw(signed.key, user_agent=agent, created=signed.created)

    def _cache_key(self, call: Call[Q, B]) -> CacheKey | None:
        """Return where the signer would write; None if a stage needs the result of looking up each request."""
        route = self.route
        if route.writes is None or route.stage is not None or route.access is Access.ENROLLING:
            return None
        return None if call.signer in self._relay.endings else (call.signer, route.name, tuple(call.path.values()))

    def _look(self, db: Connection, call: Call[Q, B], signed: Signed, request: web.Request) -> EncodedAnswer | None:
        access = self.route.access
        if access is not Access.ENROLLING:
            call.role = role_of(db, signed.key)
        kept = None if self.route.writes is None else self._kept(db, call, signed, request)
        if kept is None:
            authorise(db, access, call)
        return kept

    def _kept(self, db: Connection, call: Call[Q, B], signed: Signed, request: web.Request) -> EncodedAnswer | None:
        """Return the stored answer of a repeated write, or None for a new one."""
        earlier = nonces.find(db, signed.key, signed.nonce)
        if earlier is None:
            return None
        if earlier.request != _identity(request, signed):
            raise Problem(NONCE_REUSED, "this nonce was already used for another request; use a new one")
        self._relay.metrics.replays.inc()
        if self.route.again is not None:
            return replace(_encode(self.route.again(call, db)), status=earlier.status)
        return EncodedAnswer(earlier.status, earlier.content_type, earlier.answer)

    def _query(self, request: web.Request) -> Any:
        given = request.query
        if len(set(given)) != len(given):
            raise Problem(BAD_REQUEST, "a query parameter is repeated")
        if self.route.query is None:
            if given:
                raise Problem(BAD_REQUEST, "this endpoint takes no query parameters")
            return None
        try:
            return parse_query(self.route.query, dict(given))
        except ValidationError as error:
            raise Problem(BAD_REQUEST, explain("the query", error)) from None

    def _announced(self, request: web.Request) -> int:
        """Return the body's announced size; an oversized body is refused before it is read."""
        most = 0 if self.route.body is None else self.route.body.most
        length = request.content_length
        if length is None:
            return most if request.body_exists else 0
        return min(length, most)

    async def _body(self, request: web.Request, signed: Signed | None) -> Any:
        config, kind = self._relay.config, self.route.body
        most = 0 if kind is None else kind.most
        arrived = await read_body(request, most=most, grace_s=config.body_grace_s, min_rate=config.body_min_rate)
        if signed is not None:
            check_digest(signed, arrived)
        return None if kind is None else kind.parse(arrived.data, signed.key if signed else b"")

    async def _read(self, handler: Reading[Q, B], call: Call[Q, B]) -> web.Response:
        def view(db: Connection) -> RouteAnswer:
            authorise(db, self.route.access, call)
            return handler(call, db)

        return _encode(await self._relay.database.read(view)).response()

    async def _write(
        self, handler: Writing[Q, B], call: Call[Q, B], signed: Signed, request: web.Request
    ) -> web.Response:
        if self.route.stage is None:
            encoded = await self._in_turn(handler, call, signed, request)
        else:
            async with self.route.stage(call):
                encoded = await self._in_turn(handler, call, signed, request)
        self._relay.long_polls.wake(call.woken)
        if self._relay.notices is not None:
            self._relay.notices.tell(call.woken)
        for count in call.counts:
            count()
        crashpoint("relay.before-answer")
        return encoded.response()

    async def _in_turn(
        self, handler: Writing[Q, B], call: Call[Q, B], signed: Signed, request: web.Request
    ) -> EncodedAnswer:
        """Wait for the turn of the run, or of the site if the path names no run; all enrolments share one turn."""
        party = b"" if self.route.access is Access.ENROLLING else call.path.get("run", signed.key)
        try:
            async with self._relay.write_queue.turn(party, self._relay.config.database_wait_s):
                return await self._transact(handler, call, signed, request)
        except TimeoutError:
            raise DatabaseBusyError("the database is busy") from None

    async def _transact(
        self, handler: Writing[Q, B], call: Call[Q, B], signed: Signed, request: web.Request
    ) -> EncodedAnswer:
        """Write and remember the answer in one transaction; a repeated write only gets the stored answer."""

        def work(db: Connection) -> EncodedAnswer:
            call.woken.clear()  # left by an earlier attempt, which was rolled back
            call.counts.clear()
            kept = self._kept(db, call, signed, request)
            if kept is not None:
                return kept
            authorise(db, self.route.access, call)
            result = handler(call, db)
            if isinstance(result, Problem):
                note_problem(request, result)
                encoded = EncodedAnswer(
                    result.kind.status, problem.CONTENT_TYPE, problem.encode(result, instance(request))
                )
            else:
                encoded = _encode(result)
            nonces.add(
                db,
                key=signed.key,
                nonce=signed.nonce,
                request=_identity(request, signed),
                status=encoded.status,
                content_type=encoded.content_type,
                answer=b"" if self.route.again is not None else encoded.body,
                now=call.now,
            )
            crashpoint("relay.before-commit")
            return encoded

        encoded = await self._relay.database.write(work, appends=self.route.appends)
        crashpoint("relay.after-commit")
        return encoded


def instance(request: web.Request) -> str:
    """Return the URN of this request, which appears in the log and in problem documents."""
    return f"urn:uuid:{request[REQUEST_ID]}"


def note_problem(request: web.Request, found: Problem) -> None:
    """Store the type of a refusal for the log and the metrics."""
    request[PROBLEM] = found.kind.name


def _identity(request: web.Request, signed: Signed) -> bytes:
    """Return a hash that is equal for repetitions of a request, regardless of when they were signed."""
    parts = (request.method, request.raw_path, signed.content_digest)
    return tagged_hash("relay-request", *(part.encode() for part in parts))


def _encode(answer: RouteAnswer) -> EncodedAnswer:
    content = answer.content
    if content is None:
        return EncodedAnswer(answer.status, "", b"")
    if isinstance(content, bytes):
        return EncodedAnswer(answer.status, BYTES, content)
    return EncodedAnswer(answer.status, JSON, encode(content))
