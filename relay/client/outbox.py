"""Delivery of what the journal still holds."""

from uuid import UUID

from relay.client.transport import RelayClient, RelayError
from relay.party.journal import Journal, Outgoing, RestoredStateError
from relay.service.crashpoints import crashpoint
from relay.service.logs import logger

log = logger(__name__)


async def deliver(journal: Journal, relay: RelayClient, run: UUID | None = None, *, lease: int | None = None) -> None:
    """Send what is in the outbox, of one run or of all, in order, and forget what the relay acknowledged.

    A frame that the relay refuses for good is logged and forgotten: sending it again would not change the answer.

    Args:
        journal: has the outbox.
        relay: the party's client.
        run: nothing of other runs is sent.
        lease: token of this process's lease of the run, if it has one.

    Raises:
        RestoredStateError: the relay has another frame of this party for the same place: it has to give up the run.
        RelayUnavailableError: the relay cannot be reached; what is left stays in the outbox.
        RelayError: `stale-lease`: another process has the run now, and this one sends nothing more.
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
                    f"this party said something else in run {outgoing.run} before; its state came back from a copy",
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
