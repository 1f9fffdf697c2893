"""Wakes long polls: a poll that waits for a site's messages is told when there may be some.

A wake-up is a hint and never carries a message: the poll queries the database again. Writes in this process wake
immediately; writes by other processes are found by the relay's periodic check, or by database notifications, which also
call `wake`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

GATHER_S = 0.05
"""Minimum interval between responses with messages to one site, so that a reader of a stream gets several at a time."""


class Poll:
    """One waiting long poll."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.ended = False

    async def wait(self, seconds: float) -> bool:
        """Wait for the next wake-up; returns False if time runs out or the poll is to end."""
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
    """The long polls waiting in this process.

    Args:
        most: maximum number of waiting polls per site; one more ends the oldest, which the site has probably abandoned.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._polls: defaultdict[bytes, list[Poll]] = defaultdict(list)
        self._waiting = 0
        self._closed = False
        self._rests: dict[bytes, float] = {}

    def rest_s(self, site: bytes) -> float:
        """Return how many seconds to wait before looking for messages to a site again."""
        return max(0.0, self._rests.get(site, 0.0) - asyncio.get_running_loop().time())

    def answered(self, site: bytes) -> None:
        """Record that a site has just received messages."""
        loop = asyncio.get_running_loop()
        self._rests[site] = loop.time() + GATHER_S
        loop.call_later(GATHER_S, self._rests.pop, site, None)

    @contextmanager
    def poll(self, site: bytes) -> Iterator[Poll]:
        """Wait as a site. Wake-ups count from here on, so query the database after this and before waiting."""
        mine = Poll()
        waiting = self._polls[site]
        waiting.append(mine)
        self._waiting += 1
        for poll in waiting[: -self._most]:  # some that were ended earlier may not have left yet
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
        """Return the number of waiting polls."""
        return self._waiting

    def close(self) -> None:
        """End all polls now, and later ones as soon as they start: the relay is stopping."""
        self._closed = True
        for polls in self._polls.values():
            for poll in polls:
                poll.end()
