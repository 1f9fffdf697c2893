"""Decides whose write is next: parties take turns, so that no run makes the others wait for everything it sends.

Quotas bound a run's total usage; turns bound its share at any time. A party's writes keep their order.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairQueue:
    """Admits a number of holders at a time; waiting parties are served in rotation, one write each.

    Args:
        most: maximum number of turns held at a time.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, party: Hashable, wait_s: float) -> AsyncIterator[None]:
        """Hold a party's turn; raises TimeoutError if none comes in time."""
        async with asyncio.timeout(wait_s):
            await self._take(party)
        try:
            yield
        finally:
            self._give()

    async def _take(self, party: Hashable) -> None:
        if self._free:
            self._free -= 1
            return
        waiting = asyncio.get_running_loop().create_future()
        self._queues.setdefault(party, deque()).append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # the turn arrived just as this one gave up
                self._give()
            raise

    def _give(self) -> None:
        """Pass a turn to the party at the head, which then moves behind all other parties."""
        while self._queues:
            party = next(iter(self._queues))
            queue = self._queues.pop(party)
            waiting = queue.popleft()
            if queue:
                self._queues[party] = queue
            if not waiting.done():  # else it has given up
                waiting.set_result(None)
                return
        self._free += 1
