"""Wake-ups between replicas: PostgreSQL's LISTEN and NOTIFY carry the names of sites that have new messages.

A notice is a hint, as every wake-up is: one that is lost costs a second, until the next look into the database. So they
are sent after the commit and many at once; within its transaction, a notice would make commits wait for each other.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg
from sqlalchemy import URL

from relay.api.wire import from_base64url, to_base64url
from relay.service import logs

_CHANNEL = "secagg_relay"
_KEYS = 180  # fit into the 8,000 bytes of a notice
_AGAIN_S = 1.0

_log = logs.logger(__name__)


class Notices:
    """A connection of its own for notices, made anew whenever it breaks.

    Args:
        url: the database.
        wake: called with the sites that another replica has messages for.
        timeout_s: longest time to connect.
    """

    def __init__(self, url: URL, wake: Callable[[Iterable[bytes]], None], *, timeout_s: float) -> None:
        dialect = url.set(drivername="postgresql+asyncpg").get_dialect()()
        _, self._options = dialect.create_connect_args(url)
        self._wake = wake
        self._timeout_s = timeout_s
        self._untold: set[bytes] = set()
        self._changed = asyncio.Event()

    def tell(self, sites: Iterable[bytes]) -> None:
        """Let the other replicas know that these sites have messages."""
        self._untold.update(sites)
        if self._untold:
            self._changed.set()

    async def run(self) -> None:
        """Listen and tell until cancelled."""
        while True:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001  # a driver whose connection was cut raises many things
                _log.warning("no notices from other replicas; messages are looked for", reason=type(error).__name__)
            await asyncio.sleep(_AGAIN_S)

    async def _serve(self) -> None:
        connection = await asyncpg.connect(**self._options, timeout=self._timeout_s)
        try:
            connection.add_termination_listener(lambda _: self._changed.set())
            await connection.add_listener(_CHANNEL, self._heard)
            while not connection.is_closed():
                await self._changed.wait()
                self._changed.clear()
                await self._send(connection)
        finally:
            connection.terminate()

    async def _send(self, connection: Any) -> None:
        untold, self._untold = sorted(self._untold), set()
        for first in range(0, len(untold), _KEYS):
            notice = ",".join(map(to_base64url, untold[first : first + _KEYS]))
            await connection.execute("SELECT pg_notify($1, $2)", _CHANNEL, notice)

    def _heard(self, connection: Any, sender: int, _channel: str, notice: str) -> None:
        if sender == connection.get_server_pid():  # ours: those polls were woken at once
            return
        try:
            self._wake([from_base64url(key) for key in notice.split(",")])
        except ValueError:
            _log.warning("a notice is not understood")
