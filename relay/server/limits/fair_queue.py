"""Whose write is next: parties take turns, so that no run can make the others wait for all that it sends.

Quotas bound what a run may use in all; turns bound what it may use at a time. A party's writes keep their order.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairQueue:
    """Lets a number of holders in at a time, and of those who wait one of each party in turn.

    Args:
        most: turns that are held at a time.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._lines: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, party: Hashable, wait_s: float) -> AsyncIterator[None]:
        """Hold a turn of a party; raises TimeoutError where none comes in time."""
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
        self._lines.setdefault(party, deque()).append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # the turn came in the moment of giving up
                self._give()
            raise

    def _give(self) -> None:
        """Hand a turn on: to the party at the head, whose next one then waits behind all other parties."""
        while self._lines:
            party = next(iter(self._lines))
            line = self._lines.pop(party)
            waiting = line.popleft()
            if line:
                self._lines[party] = line
            if not waiting.done():  # else it has given up
                waiting.set_result(None)
                return
        self._free += 1
