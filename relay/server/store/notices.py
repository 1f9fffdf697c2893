"""Wake-ups between replicas: PostgreSQL's LISTEN and NOTIFY carry the keys of sites with new messages.

A notice is only a hint, like every wake-up: a lost one costs a second, until the database is queried again. So
notices are sent after the commit and in batches; inside a transaction, a notice would make commits wait for each other.
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
    """A dedicated connection for notices, reopened whenever it breaks.

    Args:
        url: URL of the database.
        wake: callback for the sites to which another replica wrote messages.
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
        """Tell the other replicas that these sites have messages."""
        self._untold.update(sites)
        if self._untold:
            self._changed.set()

    async def run(self) -> None:
        """Receive and send notices until cancelled."""
        while True:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001  # the driver raises many kinds of error for a lost connection
                _log.warning(
                    "no notices from other replicas; polling for messages instead", reason=type(error).__name__
                )
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
        if sender == connection.get_server_pid():  # our own: those polls are already awake
            return
        try:
            self._wake([from_base64url(key) for key in notice.split(",")])
        except ValueError:
            _log.warning("ignoring a malformed notice")
