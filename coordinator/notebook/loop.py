"""An event loop in its own thread, for callers that have none, or whose own is busy, as in a notebook."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class Loop:
    """A loop that runs until it is closed or the program ends."""

    def __init__(self) -> None:
        ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = Thread(target=lambda: asyncio.run(_work(ready)), name="coordinator", daemon=True)
        self._thread.start()
        self._loop, self._stop = ready.result()

    @property
    def is_open(self) -> bool:
        return self._thread.is_alive()

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Await some work and return its result; interrupting the wait cancels the work."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


async def _work(ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    stop = asyncio.Event()
    ready.set_result((asyncio.get_running_loop(), stop))
    await stop.wait()
