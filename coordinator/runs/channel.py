"""A run's channel to the relay: incoming messages and outgoing frames, under this process's lease of the run.

Before a frame is sent, the state that produced it is stored where a standby can find it, if checkpoints are enabled.
"""

from typing import Protocol
from uuid import UUID

from coordinator.session.mailbox import Subscription
from relay.client.outbox import deliver
from relay.client.transport import Message, RelayClient, SiteReport
from relay.party.journal import Journal


class Checkpoints(Protocol):
    """Stores the state of a run where a standby can find it."""

    async def store(self, lease: int | None) -> None:
        """Store what the journal has committed since the last call; returns once it is durable.

        Raises:
            RelayError: `stale-lease`: another process now holds the run.
        """


class RunChannel:
    """The channel of one run.

    Attributes:
        lease: token of this process's lease of the run, or None before it has one.
    """

    def __init__(
        self,
        run: UUID,
        journal: Journal,
        relay: RelayClient,
        subscription: Subscription,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._run = run
        self._journal = journal
        self._relay = relay
        self._subscription = subscription
        self._checkpoints = checkpoints
        self.lease: int | None = None

    async def deliver(self) -> None:
        """Send the run's part of the outbox; raises as `relay.client.outbox.deliver`."""
        if self._checkpoints is not None:
            await self._checkpoints.store(self.lease)
        await deliver(self._journal, self._relay, self._run, lease=self.lease)

    async def reports(self) -> list[SiteReport]:
        """Return what the sites reported last about their part in the run."""
        return await self._relay.reports(self._run)

    async def next(self, wait_s: float) -> Message | None:
        """Return the run's next message, or None if none arrives in time."""
        return await self._subscription.get(wait_s)

    async def frame(self, message: Message) -> bytes:
        """Return a message's frame."""
        return await self._relay.frame(message.id) if message.frame is None else message.frame

    async def payload(self, payload: str) -> bytes:
        """Return the bytes of a payload; its frame commits to them by a hash."""
        return b"".join([part async for part in self._relay.download(payload)])
