"""A process's observations of itself: a slow event loop, and a clock that jumps or disagrees with the sites."""

import asyncio
import time
from collections import deque
from statistics import median

from relay.server.core.metrics import RelayMetrics

EVERY_S = 0.25
_STEP_S = 1.0
_OFFSETS_KEPT = 101


class ProcessMonitor:
    """Observes the process; `watch` runs until it is cancelled.

    Args:
        metrics: destination of the observations.
    """

    def __init__(self, metrics: RelayMetrics) -> None:
        self._metrics = metrics
        self._offsets: deque[float] = deque(maxlen=_OFFSETS_KEPT)
        metrics.clock_offset.set_function(lambda: median(self._offsets or [0.0]))

    def signed(self, created: float, now: float) -> None:
        """Record the time of a valid signature. One site's clock may be wrong; if most disagree, the relay's is."""
        self._offsets.append(created - now)

    async def watch(self) -> None:
        """Sleep repeatedly, and measure how late the loop wakes up and whether the wall clock kept pace."""
        while True:
            wall, before = time.time(), time.monotonic()
            await asyncio.sleep(EVERY_S)
            passed = time.monotonic() - before
            self._metrics.loop_lag.observe(max(passed - EVERY_S, 0.0))
            if abs(time.time() - wall - passed) > _STEP_S:
                self._metrics.clock_steps.inc()
