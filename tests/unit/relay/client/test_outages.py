"""Outages of one second to one hour on a simulated clock: every waiting client reconnects within five seconds.

The clock is the event loop's, which jumps to the next scheduled event. The connection fails in realistic ways: a port
that refuses, a cable that swallows everything, and a connection that stays open with nobody at the other end.
"""

import asyncio
import selectors
from collections.abc import Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import aiohttp
import pytest
import tenacity

from participant.daemon.daemon import Daemon
from relay.api.wire import EPOCH_HEADER
from relay.client.exchange import TCP_S
from relay.client.sockets import EVERY_S, IDLE_S, PROBES
from relay.client.transport import RelayClient
from secagg.identity import Identity

BACK_WITHIN_S = 5.0
OUTAGES_S = (1, 3, 10, 60, 600, 3600)
TIMES = {1: 5, 3: 5, 10: 5, 60: 3}
POLL_S = 30.0


class Leaps(selectors.DefaultSelector):
    """Waits for nothing: what the loop would wait is added to its clock."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = Leaps()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


class Line:
    """The way to a relay that is cut between two moments."""

    def __init__(self, now: Callable[[], float], cut: tuple[float, float], *, silent: bool) -> None:
        self._now, self._cut, self._silent = now, cut, silent
        self.answered: list[float] = []
        self.tries = 0

    def is_cut(self) -> bool:
        return self._cut[0] <= self._now() < self._cut[1]

    @asynccontextmanager
    async def request(self, _method, url, **_options):
        self.tries += 1
        if self.is_cut():
            if self._silent:  # what began in the dark ends in the dark, though the light comes back meanwhile
                await asyncio.sleep(TCP_S)
                raise TimeoutError
            raise aiohttp.ClientConnectionError("refused")
        await self._answer_is_due(float(url.query.get("wait", 0)))
        self.answered.append(self._now())
        yield SimpleNamespace(
            status=200,
            headers={EPOCH_HEADER: "x"},
            content=SimpleNamespace(iter_any=lambda: pieces(b'{"messages":[],"next":0}')),
        )

    async def _answer_is_due(self, wait_s: float) -> None:
        """Wait as a long poll does; a cut that lasts ends the connection, by its reset or by the kernel's questions."""
        ends = self._now() + wait_s
        begins, mended = self._cut
        if not self._now() < begins < ends:
            await asyncio.sleep(wait_s)
            return
        noticed = begins + (IDLE_S + EVERY_S * PROBES if self._silent else 0)
        if mended > noticed:
            await asyncio.sleep(noticed - self._now())
            raise aiohttp.ClientConnectionError("nobody is there")
        await asyncio.sleep(max(ends, mended) - self._now())  # it was short, and TCP sends again


async def pieces(body: bytes):
    yield body


def simulate(outage_s: float, *, silent: bool, monkeypatch) -> tuple[Line, float]:
    """A daemon's loop around its poll, with one outage; returns the line, and when the network was back."""
    loop = SimulatedLoop()
    clock = SimpleNamespace(monotonic=loop.time, time=loop.time, sleep=None)
    monkeypatch.setattr(tenacity, "time", clock)
    begins = 45.0
    line = Line(loop.time, (begins, begins + outage_s), silent=silent)

    async def live() -> None:
        client = RelayClient("http://127.0.0.1:1", Identity(bytes(32)))
        client._exchange._session = line

        async def work() -> None:
            await client.messages(0, POLL_S)

        daemon = SimpleNamespace(_disk=SimpleNamespace(watched=nullcontext))
        daemon._once = partial(Daemon._once, daemon)
        waiting = asyncio.create_task(Daemon._forever(daemon, work))
        await asyncio.sleep(begins + outage_s + 2 * POLL_S + BACK_WITHIN_S + 1)
        waiting.cancel()

    try:
        loop.run_until_complete(live())
    finally:
        loop.close()
    return line, begins + outage_s


@pytest.mark.parametrize("outage_s", OUTAGES_S)
@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
def test_a_daemon_is_back_soon_after_the_network(outage_s, silent, monkeypatch):
    """Recipe 13: the loop's clock is a monotonic one, and nothing here reads the wall's."""
    for _ in range(TIMES.get(outage_s, 1)):
        line, back = simulate(outage_s, silent=silent, monkeypatch=monkeypatch)
        after = [at for at in line.answered if at >= back]
        assert after, "it never came back"
        # an answer is due when its poll is over: what counts is when that poll began
        assert min(after) - POLL_S <= back + BACK_WITHIN_S
        assert line.tries < 60 + 4 * outage_s  # it does not hammer, either


def test_the_longest_pause_and_the_longest_try_are_within_the_promise():
    from relay.client import exchange

    assert exchange._back_off.max + TCP_S <= BACK_WITHIN_S
