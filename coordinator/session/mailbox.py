"""One reader of this identity's mail for all runs that this process executes.

The relay has one mailbox for each identity, and each run reads from its own position, so a resumed run finds what
arrived meanwhile. This reader only hands messages out; a run notes which ones it has processed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from relay.api.wire import MAX_WAIT_S
from relay.client.transport import Message, RelayClient, RelayUnavailableError
from relay.service.logs import logger
from secagg.errors import SecaggError

PAUSE_S = 1.0
"""Pause before another attempt when the relay is unreachable, or another process of this identity ended our wait."""

_log = logger(__name__)


class Subscription:
    """Messages that have arrived for one run but have not been handed out yet.

    Args:
        after: ID of the last message that the run has processed.
    """

    def __init__(self, after: int) -> None:
        self._last = after
        self._waiting: asyncio.Queue[Message | SecaggError] = asyncio.Queue()

    def put(self, message: Message) -> None:
        """Accept a message unless it has been accepted before."""
        if message.id > self._last:
            self._last = message.id
            self._waiting.put_nowait(message)

    def fail(self, error: SecaggError) -> None:
        """Tell the reader of this box that no more messages will come."""
        self._waiting.put_nowait(error)

    async def get(self, wait_s: float) -> Message | None:
        """Return the next message, or None if none arrives in time; raises the error with which the relay refused."""
        try:
            async with asyncio.timeout(wait_s):  # wait_for of Python 3.11 may swallow a cancellation
                found = await self._waiting.get()
        except TimeoutError:
            return None
        if isinstance(found, SecaggError):
            raise found
        return found


class Mailbox:
    """The mail of one identity."""

    def __init__(self, relay: RelayClient) -> None:
        self._relay = relay
        self._subscriptions: dict[UUID, Subscription] = {}
        self._after = 0
        self._reading: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def subscription(self, run: UUID, after: int) -> AsyncIterator[Subscription]:
        """Provide a run's box, with all messages after the given one, while the block executes the run."""
        subscription = Subscription(after)
        self._subscriptions[run] = subscription
        if self._reading is None or self._reading.done() or after < self._after:
            self._stop()
            self._after = after if len(self._subscriptions) == 1 else min(after, self._after)
            self._reading = asyncio.create_task(self._read())
        try:
            yield subscription
        finally:
            del self._subscriptions[run]
            if not self._subscriptions:
                self._stop()

    def _stop(self) -> None:
        """Stop the reader at once: two readers would hand out mail in two orders, and a box accepts it in one."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                messages = await self._relay.messages(self._after, MAX_WAIT_S)
            except RelayUnavailableError as error:
                _log.warning("relay-away", detail=str(error))
                await asyncio.sleep(PAUSE_S)
                continue
            except SecaggError as error:
                for subscription in self._subscriptions.values():
                    subscription.fail(error)
                return
            for message in messages:
                self._after = message.id
                if message.run in self._subscriptions:
                    self._subscriptions[message.run].put(message)
            if not messages and clock() - began < PAUSE_S:
                await asyncio.sleep(PAUSE_S)
