"""A database wrapper that measures waiting times, durations, concurrent callers and retries."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Connection

from relay.server.core.metrics import RelayMetrics
from relay.server.store.database import Database

T = TypeVar("T")


class MeasuredDatabase:
    """Wraps `relay.server.store.database.Database`, whose errors pass through.

    Args:
        database: wrapped database.
        metrics: destination of the observations.
    """

    def __init__(self, database: Database, metrics: RelayMetrics) -> None:
        self._database = database
        self._metrics = metrics

    async def write(self, work: Callable[[Connection], T], *, appends: bool = False) -> T:
        """Run `work` in a transaction."""
        return await self._measured("write", work, lambda timed: self._database.write(timed, appends=appends))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` over one consistent view."""
        return await self._measured("read", work, self._database.read)

    async def alone(self, work: Callable[[Connection], T]) -> T:
        """Run a schema change."""
        return await self._database.alone(work)

    async def compact(self) -> bool:
        """Give space back to the disk."""
        return await self._database.compact()

    async def close(self) -> None:
        """Close all connections."""
        await self._database.close()

    async def _measured(
        self, activity: str, work: Callable[[Connection], T], run: Callable[[Callable[[Connection], T]], Awaitable[T]]
    ) -> T:
        metrics = self._metrics
        asked = time.monotonic()
        runs = 0

        def timed(db: Connection) -> T:
            nonlocal runs
            runs += 1
            began = time.monotonic()
            if runs == 1:
                metrics.database_wait_seconds.labels(activity).observe(began - asked)
            else:
                metrics.database_retries.inc()
            with metrics.database_busy.labels(activity).track_inprogress():
                try:
                    return work(db)
                finally:
                    metrics.database_seconds.labels(activity).observe(time.monotonic() - began)

        with metrics.database_users.labels(activity).track_inprogress():
            return await run(timed)
