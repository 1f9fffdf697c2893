"""Waking long polls: whoever waits for messages of a site is told when there may be some.

A wake-up is a hint and never carries a message: the poll looks into the database again. Writes of this process wake at
once; what other processes wrote is found by the relay's slow re-check, which calls `wake` too. A database with its own
notifications would do the same.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

GATHER_S = 0.05
"""Answers with messages to one site are at least so far apart: who reads a stream of them gets several at a time."""


class Poll:
    """One waiting long poll."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.ended = False

    async def wait(self, seconds: float) -> bool:
        """Wait for the next wake-up; False when the time is over or the poll is to end."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return not self.ended

    def wake(self) -> None:
        self._event.set()

    def end(self) -> None:
        self.ended = True
        self._event.set()


class LongPolls:
    """The long polls that wait in this process.

    Args:
        most: polls of one site that may wait; one more ends the oldest, which its site has most likely given up.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._polls: defaultdict[bytes, list[Poll]] = defaultdict(list)
        self._waiting = 0
        self._closed = False
        self._rests: dict[bytes, float] = {}

    def rest_s(self, site: bytes) -> float:
        """Return how long the next look for messages of a site has to wait, in seconds."""
        return max(0.0, self._rests.get(site, 0.0) - asyncio.get_running_loop().time())

    def answered(self, site: bytes) -> None:
        """Note that a site got messages just now."""
        loop = asyncio.get_running_loop()
        self._rests[site] = loop.time() + GATHER_S
        loop.call_later(GATHER_S, self._rests.pop, site, None)

    @contextmanager
    def poll(self, site: bytes) -> Iterator[Poll]:
        """Wait as a site. Wake-ups count from here on, so look into the database after this and before waiting."""
        mine = Poll()
        waiting = self._polls[site]
        waiting.append(mine)
        self._waiting += 1
        for poll in waiting[: -self._most]:  # those that were ended before may not have left yet
            poll.end()
        if self._closed:
            mine.end()
        try:
            yield mine
        finally:
            waiting.remove(mine)
            self._waiting -= 1
            if not waiting:
                self._polls.pop(site, None)

    def wake(self, sites: Iterable[bytes]) -> None:
        """Wake the polls of these sites."""
        for site in sites:
            for poll in self._polls.get(site, ()):
                poll.wake()

    def waiting(self) -> int:
        """Return how many polls wait."""
        return self._waiting

    def close(self) -> None:
        """End all polls, and every later one at once: the relay is to stop."""
        self._closed = True
        for polls in self._polls.values():
            for poll in polls:
                poll.end()
