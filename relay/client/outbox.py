"""Delivery of the journal's outbox."""

from uuid import UUID

from relay.client.transport import RelayClient, RelayError
from relay.party.journal import Journal, Outgoing, RestoredStateError
from relay.service.crashpoints import crashpoint
from relay.service.logs import logger

log = logger(__name__)


async def deliver(journal: Journal, relay: RelayClient, run: UUID | None = None, *, lease: int | None = None) -> None:
    """Send the outbox in order, of one run or of all, and remove what the relay has acknowledged.

    A frame that the relay refuses for good is logged and dropped: sending it again would be refused again.

    Args:
        journal: the party's journal, with the outbox.
        relay: the party's client.
        run: the run to send for; None for all.
        lease: token of this process's lease of the run, if it holds one.

    Raises:
        RestoredStateError: the relay has a different frame from this party for the same slot; the run must be given up.
        RelayUnavailableError: the relay cannot be reached; unsent frames stay in the outbox.
        RelayError: `stale-lease`: another process has taken over the run, and this one stops sending.
    """
    for outgoing in journal.outgoing(run):
        try:
            await _send(outgoing, relay, lease)
        except RelayError as error:
            if error.type == "stale-lease":
                raise
            log.error("frame-refused", run=outgoing.run, type=error.type, detail=error.detail)
            if error.type == "slot-taken":
                journal.delivered(outgoing)
                raise RestoredStateError(
                    f"this party already sent another frame in run {outgoing.run}; its state was restored from a copy",
                    run=outgoing.run,
                ) from None
        crashpoint("outbox-sent")
        journal.delivered(outgoing)


async def _send(outgoing: Outgoing, relay: RelayClient, lease: int | None) -> None:
    blob = None
    if outgoing.payload is not None:
        blob = await relay.upload(
            outgoing.run,
            outgoing.payload,
            size=outgoing.payload.stat().st_size,
            digest=bytes.fromhex(outgoing.payload.name),
            to=outgoing.payload_for,
        )
    await relay.post_message(outgoing.run, outgoing.recipient, outgoing.frame, blob, lease=lease)
