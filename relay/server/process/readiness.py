"""The relay's readiness: whether the database accepts writes and the disk has room."""

import asyncio
import time

from relay.server.core.config import RelayConfig
from relay.server.payloads.payload_store import Blobs
from relay.server.store import probe
from relay.server.store.database import Database

_KEPT_S = 1.0


class Readiness:
    """Answers readiness checks; repeats its last answer for one second, as anyone may ask."""

    def __init__(self, config: RelayConfig, database: Database, blobs: Blobs) -> None:
        self._config = config
        self._database = database
        self._blobs = blobs
        self._asked = 0.0
        self._reason: str | None = None
        self._stopping = False
        self._look = asyncio.Lock()

    def stop(self) -> None:
        """Report not ready from now on: the relay is stopping, and load balancers should send it no new requests."""
        self._stopping = True

    async def __call__(self) -> str | None:
        """Return None if the relay is ready, otherwise the reason."""
        if self._stopping:
            return "the relay is stopping"
        async with self._look:  # concurrent callers share the result of one write
            if time.monotonic() - self._asked > _KEPT_S:
                self._reason = await self._find_reason()
                self._asked = time.monotonic()
            return self._reason

    async def _find_reason(self) -> str | None:
        try:
            await self._database.write(lambda db: probe.write(db, now=time.time()))
            free = self._blobs.free_bytes()
        except Exception as error:  # noqa: BLE001  # whatever the cause, this relay cannot store
            return f"the database cannot be written: {type(error).__name__}"
        if self._blobs.failure is not None:
            return self._blobs.failure
        return "the disk is full" if free is not None and free <= self._config.disk_reserve_bytes else None
