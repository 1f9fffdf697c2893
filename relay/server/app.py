"""The relay's application: its parts, its background jobs, and the gate in front of every endpoint."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from math import ceil
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Handler

from relay.api.wire import EPOCH_HEADER
from relay.server.core import problem
from relay.server.core.checkpoint import KEY_FILE, signing_key
from relay.server.core.config import RelayConfig
from relay.server.core.metrics import RelayMetrics
from relay.server.core.problem import BAD_REQUEST, FORBIDDEN, INTERNAL, Problem
from relay.server.http import openapi
from relay.server.http.connections import Connection
from relay.server.http.context import AnyCall, Relay
from relay.server.http.endpoint import CALL, PROBLEM, REQUEST_ID, Endpoint, instance, note_problem
from relay.server.jobs.checkpoint_signer import LOOK_S as SIGNER_S
from relay.server.jobs.checkpoint_signer import CheckpointSigner
from relay.server.jobs.deadlines import EVERY_S as DEADLINES_S
from relay.server.jobs.deadlines import Deadlines
from relay.server.jobs.housekeeping import EVERY_S, Housekeeping
from relay.server.jobs.state_metrics import EVERY_S as STATE_METRICS_S
from relay.server.jobs.state_metrics import StateMetrics
from relay.server.limits.body_budget import BodyBudget
from relay.server.limits.fair_queue import FairQueue
from relay.server.limits.request_filter import ORIGIN, RequestFilter
from relay.server.limits.role_cache import RoleCache
from relay.server.payloads.digests import RunningDigests
from relay.server.payloads.open import open_blobs
from relay.server.process.epoch import Epoch
from relay.server.process.last_seen import LastSeen
from relay.server.process.long_polls import LongPolls
from relay.server.process.monitor import ProcessMonitor
from relay.server.process.readiness import Readiness
from relay.server.routes import ROUTES
from relay.server.store import epochs, messages, migrate, sites
from relay.server.store.connect import connect
from relay.server.store.database import Database
from relay.server.store.measured import MeasuredDatabase
from relay.service import logs
from relay.service.folders import private_folder
from secagg.identity import fingerprint

if TYPE_CHECKING:
    from relay.server.store.notices import Notices

RELAY = web.AppKey("relay", Relay)

LOOK_S = 1.0
"""Seconds between two checks for messages written by other processes."""
ENDINGS_S = 2.0
"""Seconds between two checks for ended keys, whose long polls and downloads are then ended."""
LAST_SEEN_S = 5.0
SWEEP_S = 10.0

_TRACED = ("project", "run", "blob", "message")
"""Path parameters that appear in the log."""

_log = logs.logger(__name__)


def create_app(config: RelayConfig) -> web.Application:
    """Return the relay as an aiohttp application.

    The database is created or upgraded when the application starts, before anything listens; `migrate.prepare` lists
    the errors.

    Args:
        config: location of the data, and the limits.
    """
    long_polls = LongPolls(config.max_polls_per_site)
    private_folder(config.data)
    blobs = open_blobs(config)
    metrics = RelayMetrics(config.data, long_polls.waiting, [kind.name for kind in problem.KINDS])
    database = _database(config, metrics)
    relay = Relay(
        config=config,
        request_filter=RequestFilter(config),
        role_cache=RoleCache(),
        bodies=BodyBudget(config.body_memory_bytes),
        database=database,
        blobs=blobs,
        digests=RunningDigests(),
        long_polls=long_polls,
        notices=_notices(config, long_polls),
        last_seen=LastSeen(),
        endings=set(),
        write_queue=FairQueue(config.database_connections),
        metrics=metrics,
        readiness=Readiness(config, database, blobs),
        epoch=Epoch(),
        monitor=ProcessMonitor(metrics),
        description=openapi.encode(ROUTES),
    )
    app = web.Application(middlewares=[_admit], handler_args=handler_options(config))
    app[RELAY] = relay
    for route in ROUTES:
        serve = Endpoint(relay, route).serve
        app.router.add_route(route.method, route.path, serve, name=route.name, expect_handler=_expect)
    app.on_response_prepare.append(_headers)
    app.on_shutdown.append(_end_polls)
    app.cleanup_ctx.append(_run)
    return app


def _notices(config: RelayConfig, long_polls: LongPolls) -> "Notices | None":
    if config.database_url.get_backend_name() == "sqlite":
        return None
    from relay.server.store.notices import Notices  # noqa: PLC0415  # only PostgreSQL's users have the driver

    return Notices(config.database_url, long_polls.wake, timeout_s=config.database_wait_s)


def handler_options(config: RelayConfig) -> dict[str, Any]:
    """Return the options with which aiohttp serves a connection."""
    # signatures cover bodies as sent, and decompression would allow zip bombs
    return {"auto_decompress": False, "keepalive_timeout": config.idle_s, "lingering_time": 2.0}


def _database(config: RelayConfig, metrics: RelayMetrics) -> Database:
    most = config.database_connections
    metrics.database_limit.labels("read").set(most)
    metrics.database_limit.labels("write").set(1 if config.database is None else most)
    return MeasuredDatabase(connect(config.database_url, wait_s=config.database_wait_s, connections=most), metrics)


@web.middleware
async def _admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let requests through to declared endpoints only, and turn any exception into a problem document."""
    relay = request.app[RELAY]
    request[REQUEST_ID] = uuid4()
    started = time.monotonic()
    endpoint = getattr(handler, "__self__", None)
    name = endpoint.route.name if isinstance(endpoint, Endpoint) else "none"
    binding = logs.bind(request=str(request[REQUEST_ID]))
    with binding, _serving(request), relay.metrics.in_progress.track_inprogress():
        try:
            relay.request_filter.admit(request)
            response = await _serve(request, endpoint)
        except Exception as error:  # noqa: BLE001  # every error becomes a problem document
            response = _refuse(relay, request, error)
        _record(relay, request, response.status, name, time.monotonic() - started)
    return response


@contextmanager
def _serving(request: web.Request) -> Iterator[None]:
    """Tell the connection that the relay is at work, so that the peer does not count as overdue."""
    connection = request.protocol
    if not isinstance(connection, Connection):  # not our server, in tests
        yield
        return
    connection.begins()
    try:
        yield
    finally:
        call: AnyCall | None = request.get(CALL)
        connection.answered(signed=call is not None and bool(call.role))


async def _serve(request: web.Request, endpoint: object) -> web.StreamResponse:
    if request.match_info.http_exception is not None:  # unknown path, or a method that it does not allow
        raise request.match_info.http_exception
    if not isinstance(endpoint, Endpoint):  # added to the router without a declaration
        raise Problem(FORBIDDEN, "this endpoint does not declare who may call it")
    return await endpoint.serve(request)


def _refuse(relay: Relay, request: web.Request, error: Exception) -> web.Response:
    found = problem.of_exception(error)
    note_problem(request, found)
    if found.kind.status >= INTERNAL.status:
        if found is not error:
            relay.metrics.faults.labels(problem.cause_of(error)).inc()
        # a traceback for unexpected errors only: a busy database, hit a hundred times a second, has nothing to trace
        unexpected = error if found.kind is INTERNAL else None
        _log.error("request failed", problem=found.kind.name, reason=str(error), exc_info=unexpected)
    return problem.respond(found, instance(request))


def _record(relay: Relay, request: web.Request, status: int, name: str, seconds: float) -> None:
    call: AnyCall | None = request.get(CALL)
    relay.metrics.requests.labels(name, str(status)).inc()
    relay.metrics.seconds.labels(name).observe(seconds - (call.waited_s if call else 0.0))
    refused = request.get(PROBLEM)
    if refused:
        relay.metrics.problems.labels(refused).inc()
    say = _log.info if refused else _log.debug  # thousands an hour are served; metrics count them
    say(
        "request",
        route=name,
        method=request.method,
        status=status,
        seconds=round(seconds, 4),
        site=fingerprint(call.signer) if call and call.signer else None,
        problem=refused,
        **({"address": request.get(ORIGIN, request.remote)} if relay.config.log_addresses else {}),
        **{part: call.path[part] for part in _TRACED if part in call.path} if call else {},
    )


async def _expect(request: web.Request) -> web.Response | None:
    """Let a client that waits before sending its body continue; refuse any other expectation."""
    if request.version != HttpVersion11:
        return None
    if request.headers["Expect"].lower() != "100-continue":
        refusal = Problem(BAD_REQUEST, "the only supported value of the Expect header is 100-continue")
        return problem.respond(refusal, f"urn:uuid:{uuid4()}")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the response itself has not started
    return None


def common_headers(relay: Relay) -> dict[str, str]:
    """Return the headers of every response."""
    return {
        EPOCH_HEADER: str(relay.epoch.id),
        "Server": "secagg-relay",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(common_headers(request.app[RELAY]))


async def _end_polls(app: web.Application) -> None:
    app[RELAY].long_polls.close()


async def _run(app: web.Application) -> AsyncIterator[None]:
    """Run the relay's background work from its start to its end."""
    relay = app[RELAY]
    before = await migrate.prepare(relay.config)
    if before is not None:
        _log.info("database prepared", schema=migrate.REVISION, before=before or "none")
    relay.epoch.begin(await relay.database.write(lambda db: epochs.ensure(db, now=time.time())))
    # Signatures count whole seconds: one made after a restore but in the same second would look older than it.
    await asyncio.sleep(max(0.0, min(ceil(relay.epoch.floor) - time.time(), 1.0)))
    key_file = relay.config.data / KEY_FILE
    signer = CheckpointSigner(signing_key(key_file), relay.database, relay.metrics)
    relay.metrics.oldest_key.labels("audit").set(key_file.stat().st_mtime)
    house = Housekeeping(relay)
    jobs = [
        asyncio.create_task(relay.monitor.watch()),
        asyncio.create_task(_every(STATE_METRICS_S, StateMetrics(relay.database, relay.readiness, relay.metrics))),
        asyncio.create_task(_every(SIGNER_S, signer)),
        asyncio.create_task(_every(LOOK_S, _Look(relay))),
        asyncio.create_task(_every(ENDINGS_S, lambda: _look_for_endings(relay))),
        asyncio.create_task(_every(SWEEP_S, lambda: _sweep(relay))),
        asyncio.create_task(_every(LAST_SEEN_S, lambda: _write_last_seen(relay))),
        asyncio.create_task(_every(DEADLINES_S, Deadlines(relay.database))),
        asyncio.create_task(_every(EVERY_S, house)),
    ]
    if relay.notices is not None:
        jobs.append(asyncio.create_task(relay.notices.run()))
    yield
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    with suppress(Exception):  # these are only observations, not worth a failed shutdown
        await _write_last_seen(relay)
        await house.stop()
    await relay.database.close()


async def _every(seconds: float, job: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await job()
        except Exception as error:  # noqa: BLE001  # the database may be back next time
            _log.error("background job failed", exc_info=error)
        await asyncio.sleep(seconds)


class _Look:
    """Wakes the long polls of sites to which another process wrote messages."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._seen: int | None = None

    async def __call__(self) -> None:
        seen = self._seen
        newest = await self._relay.database.read(messages.newest)
        if seen is not None and newest > seen:
            self._relay.long_polls.wake(await self._relay.database.read(lambda db: messages.readers_since(db, seen)))
        self._seen = newest


async def _look_for_endings(relay: Relay) -> None:
    ended = await relay.database.read(sites.ended)
    relay.long_polls.wake(ended - relay.endings)
    relay.endings.update(ended)


async def _sweep(relay: Relay) -> None:
    """Record which sites fell silent and which returned; one replica finds the change and logs it."""
    then = time.time() - relay.config.silent_after_s
    if not await relay.database.read(lambda db: sites.needs_sweep(db, then=then)):
        return
    silent, back = await relay.database.write(lambda db: sites.sweep(db, then=then))
    for event, rows in (("site silent", silent), ("site back", back)):
        for row in rows:
            _log.info(event, site=fingerprint(row.key), name=row.name)


async def _write_last_seen(relay: Relay) -> None:
    if seen := relay.last_seen.take():
        await relay.database.write(lambda db: sites.seen(db, seen), appends=True)
