"""Background maintenance. The replica that holds the lease does it; if it disappears, the next one takes over."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from typing import TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Connection

from relay.server.http.context import Relay
from relay.server.payloads.payload_store import Piece, Stored
from relay.server.store import leases, nonces, payloads, retention
from relay.service import logs
from secagg.errors import SecaggError

EVERY_S = 60.0

_NAME = "housekeeping"
_TTL_S = 2.5 * EVERY_S  # a replica that misses two turns counts as gone
_DAY_S = 86_400.0
_STEP = 500
"""Rows removed per transaction, so that other writes can happen in between."""
_SWEEP_EVERY = 60
"""Turns between two scans of the whole blob store."""
_ORPHAN_S = 3600.0
"""Age in seconds of an orphan: anything stored more recently may be about to be counted."""

T = TypeVar("T")

_log = logs.logger(__name__)


class LeaseLostError(SecaggError):
    """Another replica took over, so this one stops."""


class Housekeeping:
    """The jobs of the replica that holds the lease."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._holder = uuid4().hex
        self._turns = count()

    async def __call__(self) -> None:
        """Do the work that is due, if this replica holds the lease."""
        lease = await self._take(_TTL_S)
        if lease is None:
            return
        try:
            await self._work(lease.token, lambda db: nonces.forget(db, now=time.time()))
            await self._end_uploads(lease.token)
            await self._purge_runs(lease.token)
            while await self._relay.database.compact():
                await self._take(_TTL_S)
            if next(self._turns) % _SWEEP_EVERY == 0:
                await self._sweep()
        except LeaseLostError:
            _log.info("another replica took over housekeeping")

    async def stop(self) -> None:
        """Release the lease, so that another replica need not wait for it to expire."""
        await self._take(0)

    async def _take(self, ttl_s: float) -> leases.Lease | None:
        return await self._relay.database.write(
            lambda db: leases.take(db, _NAME, holder=self._holder, ttl_s=ttl_s), appends=True
        )

    async def _work(self, token: int, work: Callable[[Connection], T]) -> T:
        """Run a transaction under the lease: a replica that lost it without noticing changes nothing."""

        def fenced(db: Connection) -> T:
            if not leases.is_current(db, _NAME, token):
                raise LeaseLostError
            return work(db)

        return await self._relay.database.write(fenced, appends=True)

    async def _end_uploads(self, token: int) -> None:
        then = time.time() - self._relay.config.unfinished_days * _DAY_S
        while gone := await self._work(token, lambda db: retention.discard_unfinished(db, then=then, most=_STEP)):
            await self._discard(gone)
            _log.info("unfinished uploads discarded", number=len(gone))

    async def _purge_runs(self, token: int) -> None:
        then = time.time() - self._relay.config.retention_days * _DAY_S
        for run in await self._relay.database.read(lambda db: retention.due(db, then=then)):
            messages = blobs = 0
            done = False
            while not done:
                step = await self._work(token, partial(retention.purge, run=run, most=_STEP, now=time.time()))
                await self._discard(step.blobs)
                messages, blobs, done = messages + step.messages, blobs + len(step.blobs), step.done
                await self._take(_TTL_S)
            _log.info("run purged", run=run, messages=messages, payloads=blobs)

    async def _discard(self, blobs: Iterable[tuple[UUID, list[Piece]]]) -> None:
        for blob, pieces in blobs:
            await self._relay.blobs.discard(blob, pieces)

    async def _sweep(self) -> None:
        """Remove objects unknown to the database, left by a crash or by the slower of two writers."""
        old: list[Stored] = []
        async for found in self._relay.blobs.stored():
            if found.modified < time.time() - _ORPHAN_S:
                old.append(found)
            if len(old) == _STEP:
                await self._remove_orphans(old)
                old.clear()
        await self._remove_orphans(old)

    async def _remove_orphans(self, found: list[Stored]) -> None:
        blobs = {one.blob for one in found}
        known = await self._relay.database.read(lambda db: payloads.names(db, blobs))
        for one in found:
            if one.name not in known:
                await self._relay.blobs.remove(one.name)
                _log.info("orphan removed", name=one.name)
