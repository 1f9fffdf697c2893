"""The public port: how many connections it takes, and how long each may keep the relay waiting.

aiohttp closes a connection whose head does not arrive within the keep-alive time, but never one whose body or reader
stalls. Here every connection is counted when it is accepted, before TLS costs anything, and a watchdog checks every
second what each one is doing: sending a head, idling, or not reading its response. Bodies have their own deadline
(`relay.server.http.auth.read_body`). Overdue connections are aborted, since closing would wait for the peer again.
"""

import asyncio
import errno
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiohttp import web

from relay.server.core.addresses import Address, Addresses, Network, household, plain
from relay.server.core.metrics import RelayMetrics
from relay.server.core.problem import BAD_REQUEST, Problem, respond
from relay.service import logs
from relay.service.ports import opening

_LOOK_S = 1.0
_WRITE_BUFFER_BYTES = 64 << 10
"""A reader has stalled if this much is waiting and three quarters of it are not read within the deadline."""
_AT_ONCE = struct.pack("ii", 1, 0)
_OUT_OF_HANDLES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = logs.logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits on the number of connections, and on how long the port waits for each (in seconds).

    Attributes:
        most, most_per_address: maximum number of connections; trusted proxies are not limited individually.
        head_s: time for the TLS handshake, and for a request's head.
        idle_s: time between requests on a connection that has carried a valid signature.
        stall_s: time for a reader to take what was written.
    """

    most: int
    most_per_address: int
    head_s: float
    idle_s: float
    stall_s: float


class Connection(web.RequestHandler):
    """A connection that knows what it is waiting for, and since when."""

    __slots__ = ("_common", "_ends", "_head_since", "_idle_since", "_pipe", "_serving", "_stalled_since", "_vouched")

    def __init__(
        self,
        server: web.Server,
        ends: Callable[["Connection"], None],
        common: Callable[[], Mapping[str, str]],
        **options: Any,
    ) -> None:
        # the relay logs each request itself, without an address; aiohttp accepts None despite its type hints
        super().__init__(server, loop=asyncio.get_running_loop(), access_log=None, **options)  # type: ignore[arg-type]
        self._ends, self._common = ends, common
        self._pipe: asyncio.Transport | None = None
        self._serving = False
        self._vouched = False
        self._idle_since = self._loop.time()
        self._head_since: float | None = None
        self._stalled_since: float | None = None

    def begins(self) -> None:
        """Record that a request's head has arrived and is being served."""
        self._serving, self._head_since = True, None

    def answered(self, *, signed: bool) -> None:
        """Record that a request was answered, and whether it carried a site's valid signature."""
        self._serving, self._idle_since = False, self._loop.time()
        self._vouched = self._vouched or signed

    def overdue(self, now: float, patience: Patience) -> str | None:
        """Return what the relay has been waiting for too long, or None if the peer is not overdue."""
        if self._stalled_since is not None and now - self._stalled_since > patience.stall_s:
            return "reading"
        if self._serving:
            return None
        if self._head_since is not None and now - self._head_since > patience.head_s:
            return "head"
        idle_s = patience.idle_s if self._vouched else patience.head_s
        return "idle" if now - self._idle_since > idle_s else None

    def abort(self) -> None:
        """End the connection immediately and drop what the kernel still holds for a reader that does not read."""
        if self._pipe is not None:
            with suppress(OSError):  # it may already be gone
                self._pipe.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self._pipe.abort()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer bytes that are not an HTTP request, and so reach no endpoint, in the form of all refusals."""
        if status != BAD_REQUEST.status or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        response = respond(Problem(BAD_REQUEST, "this is not an HTTP/1.1 request"), f"urn:uuid:{uuid4()}")
        response.headers.update(self._common())
        response.force_close()
        return response

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(_WRITE_BUFFER_BYTES)
        self._pipe = transport
        self._idle_since = self._loop.time()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._serving and self._head_since is None:
            self._head_since = self._loop.time()
        super().data_received(data)

    def pause_writing(self) -> None:
        self._stalled_since = self._loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled_since = None
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._ends(self)


class PublicPort(web.BaseSite):
    """Accepts connections for an application's runner, within limits.

    Args:
        runner: runner that has been set up.
        host, port: address to listen on; port 0 picks any free port.
        addresses: the operator's network policy.
        patience: limits on connections and waiting.
        tls: function that returns the context for the next connection; None for plain HTTP.
        metrics: counters of connections; refused and aborted ones are counted separately.
        common: function that returns the headers of every response.
        options: options for aiohttp's `RequestHandler`.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        *,
        addresses: Addresses,
        patience: Patience,
        tls: Callable[[], ssl.SSLContext] | None,
        metrics: RelayMetrics,
        common: Callable[[], Mapping[str, str]],
        options: dict[str, Any],
    ) -> None:
        super().__init__(runner)
        self._host, self.port = host, port
        self._addresses, self._patience, self._tls = addresses, patience, tls
        self._metrics, self._common, self._options = metrics, common, options
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: dict[Connection, Address | Network] = {}
        self._by_address: Counter[Address | Network] = Counter()
        metrics.connections.set_function(lambda: len(self._open))

    @property
    def name(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self._host}:{self.port}"

    async def start(self) -> None:
        await super().start()
        await self._listen()
        for listening in self._sockets:
            self._spawn(self._accept(listening))
        self._spawn(self._watch())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        await super().stop()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        places = await loop.getaddrinfo(self._host or None, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, place in dict.fromkeys(places):
            with opening("port", self.port):
                made = socket.create_server((place[0], self.port), family=family, backlog=1024)
            made.setblocking(False)
            self._sockets.append(made)
            self.port = made.getsockname()[1]  # the next address family uses the same port

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _OUT_OF_HANDLES:  # an immediate retry would fail again
                    _log.error("cannot accept connections", reason=error.strerror)
                    await asyncio.sleep(_LOOK_S)
                continue
            self._admit(accepted, plain(peer[0]))
            await asyncio.sleep(0)  # otherwise requests wait until a full backlog is emptied

    def _admit(self, accepted: socket.socket, address: Address) -> None:
        """Accept a connection, or close it without a response: the limit is meant to save that cost."""
        trusted = self._addresses.is_trusted(address)
        party = household(address)
        if not trusted and not self._addresses.is_allowed(address):
            reason = "address"
        elif len(self._open) >= self._patience.most:
            reason = "total"
        elif not trusted and self._by_address[party] >= self._patience.most_per_address:
            reason = "per-address"
        else:
            server = self._runner.server
            assert server is not None  # the runner has been set up
            connection = Connection(server, self._release, self._common, **self._options)
            self._open[connection] = party
            self._by_address[party] += 1
            self._spawn(self._begin(accepted, connection))
            return
        self._metrics.refused_connections.labels(reason).inc()
        accepted.close()

    async def _begin(self, accepted: socket.socket, connection: Connection) -> None:
        context = None if self._tls is None else self._tls()
        times = {} if context is None else {"ssl_handshake_timeout": self._patience.head_s, "ssl_shutdown_timeout": 2.0}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted, ssl=context, **times)
        except (OSError, TimeoutError):  # failed handshake: ssl.SSLError is an OSError
            self._metrics.refused_connections.labels("handshake").inc()
            self._release(connection)
            accepted.close()

    def _release(self, connection: Connection) -> None:
        party = self._open.pop(connection, None)
        if party is None:
            return
        self._by_address[party] -= 1
        if not self._by_address[party]:
            del self._by_address[party]

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_S)
            now = loop.time()
            for connection in list(self._open):
                with suppress(RuntimeError):  # its transport may already be closing
                    if (overdue := connection.overdue(now, self._patience)) is not None:
                        self._metrics.refused_connections.labels(overdue).inc()
                        connection.abort()
                        await asyncio.sleep(0)  # many that arrived together are overdue together
