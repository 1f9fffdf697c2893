"""Delivery of what the journal still holds."""

from relay.client.journal import Journal, Outgoing, RestoredStateError
from relay.client.transport import RelayClient, RelayError
from relay.service.crashpoints import crashpoint
from relay.service.logs import logger

log = logger(__name__)


async def deliver(journal: Journal, relay: RelayClient) -> None:
    """Send everything that is in the outbox, in order, and forget what the relay acknowledged.

    A frame that the relay refuses for good is logged and forgotten: sending it again would not change the answer.

    Raises:
        RestoredStateError: the relay has another frame of this party for the same place: it has to give up the run.
        RelayUnavailableError: the relay cannot be reached; what is left stays in the outbox.
    """
    for outgoing in journal.outgoing():
        try:
            await _send(outgoing, relay)
        except RelayError as error:
            log.error("frame-refused", run=outgoing.run, type=error.type, detail=error.detail)
            if error.type == "slot-taken":
                journal.delivered(outgoing)
                raise RestoredStateError(
                    f"this party said something else in run {outgoing.run} before; its state came back from a copy",
                    run=outgoing.run,
                ) from None
        crashpoint("outbox-sent")
        journal.delivered(outgoing)


async def _send(outgoing: Outgoing, relay: RelayClient) -> None:
    blob = None
    if outgoing.payload is not None:
        blob = await relay.upload(
            outgoing.run,
            outgoing.payload,
            size=outgoing.payload.stat().st_size,
            digest=bytes.fromhex(outgoing.payload.name),
            to=outgoing.payload_for,
        )
    await relay.post_message(outgoing.run, outgoing.recipient, outgoing.frame, blob)
