"""Messages: posting frames, waiting for them, fetching large ones. Spec: 04-relay-api §5."""

import asyncio
from functools import partial
from hashlib import sha256

from aiohttp import web
from sqlalchemy import Connection

from relay.api.states import FINAL_RUN
from relay.api.wire import FIRST_PARCEL, Message, MessageId, Messages, PageQuery, PayloadRef, PollQuery, PostQuery
from relay.server.core.problem import (
    BAD_FRAME,
    CONFLICT,
    FORBIDDEN,
    NOT_FOUND,
    QUOTA,
    SLOT_TAKEN,
    STALE_LEASE,
    UNAVAILABLE,
    Problem,
)
from relay.server.http.access import Access, role_of
from relay.server.http.body import PostedFrame, SignedFrame
from relay.server.http.context import AnyCall, Call, RouteAnswer
from relay.server.http.route import OCTETS, Route
from relay.server.routes.runs import check_lease
from relay.server.store import audit, payloads, runs
from relay.server.store import messages as store
from relay.server.store.rows import ListedMessage, SlotRow
from secagg.envelope import COORDINATOR, EVERYONE, Frame

PAGE_BYTES = 1 << 20
"""A list of messages ends after this many bytes of frames; the reader requests the rest."""


def post(call: Call[PostQuery, PostedFrame], db: Connection) -> RouteAnswer | Problem:
    """Accept a frame for the coordinator, for one site or for all sites of the run."""
    query = call.query
    posted = call.body
    readers = recipients(call, db, query.to)
    _check_header(call, query.to, posted.frame)
    if call.leads:
        check_lease(db, call, query.lease)
    slot = store.slot(call.run.id, call.signer, query.to, posted.frame)
    earlier = store.in_slot(db, slot)
    if earlier is not None and earlier.digest == sha256(posted.data).digest() and earlier.payload == query.payload:
        return RouteAnswer(200, MessageId(id=earlier.id))
    if posted.frame.kind < FIRST_PARCEL:  # parcels may still be sent after a run has ended
        _must_go_on(call)
    must_keep(call)
    _charge(call, db, len(posted.data))
    if earlier is not None:
        return _second_frame(call, db, posted, earlier)
    _check_payload(call, db)
    number = store.add(
        db,
        run=call.run.id,
        sender=call.signer,
        recipient=query.to,
        slot_=slot,
        frame=posted.frame,
        data=posted.data,
        payload=query.payload,
        readers=readers,
        now=call.now,
    )
    call.woken.update(readers)
    metrics = call.relay.metrics
    call.counts += [metrics.messages.inc, partial(metrics.frame_bytes.inc, len(posted.data))]
    return RouteAnswer(201, MessageId(id=number))


def recipients(call: AnyCall, db: Connection, to: bytes | None) -> list[bytes]:
    """Return the recipients: the coordinator, or one or all sites of the run; no one else is allowed.

    A coordinator may also leave parcels for itself.
    """
    if not call.leads:
        if to != call.project.coordinator:
            raise Problem(FORBIDDEN, "a site may only write to its project's coordinator")
        return [call.project.coordinator]
    if to is None:
        return runs.sites(db, call.run)
    if to == call.signer:  # kept for another of its own processes
        return [to]
    if not runs.takes_part(db, call.run, to):
        raise Problem(FORBIDDEN, "the recipient is not in this run's roster, or has left")
    return [to]


def must_keep(call: AnyCall) -> None:
    """Refuse anything for a run whose messages were purged, since nothing would remove it again."""
    if call.run.purged is not None:
        raise Problem(CONFLICT, "the run has ended and its content has been removed", state=call.run.state)


def _must_go_on(call: AnyCall) -> None:
    """Refuse a protocol message for a run that has ended."""
    if call.run.state in FINAL_RUN:
        raise Problem(CONFLICT, f"the run is {call.run.state} and accepts no more messages", state=call.run.state)


def _check_header(call: AnyCall, to: bytes | None, frame: Frame) -> None:
    """Check the header's two indices with a fixed meaning; the relay cannot read the manifest, which has the rest."""
    if (frame.sender == COORDINATOR) != call.leads:
        raise Problem(BAD_FRAME, "the frame's sender index must be 0 if, and only if, the coordinator sends it")
    if (frame.recipient == EVERYONE) != (to is None):
        raise Problem(BAD_FRAME, "the frame's recipient index must be 65,535 if, and only if, it is for all sites")
    if (frame.recipient == COORDINATOR) != (to == call.project.coordinator):
        raise Problem(BAD_FRAME, "the frame's recipient index must be 0 if, and only if, it is for the coordinator")
    if to == call.signer and frame.kind < FIRST_PARCEL:
        raise Problem(FORBIDDEN, "a coordinator may send itself parcels, but no protocol messages")


def _check_payload(call: Call[PostQuery, PostedFrame], db: Connection) -> None:
    query = call.query
    if query.payload is None:
        return
    blob = payloads.find(db, query.payload)
    if blob is None or blob.sender != call.signer or blob.run != call.run.id:
        raise Problem(NOT_FOUND, "this site has no such payload in this run")
    if blob.recipient is not None and blob.recipient != query.to:
        raise Problem(FORBIDDEN, "the payload was announced for another recipient than the message")
    if not blob.complete:
        raise Problem(CONFLICT, "the payload is incomplete; upload the rest first", received=blob.received)


def _charge(call: AnyCall, db: Connection, size: int) -> None:
    config = call.relay.config
    used = runs.charge(db, call.run.id, call.signer, messages=1, frame_bytes=size)
    if used.messages > config.max_messages or used.frame_bytes > config.max_frame_bytes:
        raise Problem(QUOTA, "this site has used up its quota of messages in this run")


def _second_frame(call: AnyCall, db: Connection, posted: PostedFrame, earlier: SlotRow) -> Problem:
    """Record a second frame in a slot as hashes and charge for it: it may be an attempt to equivocate."""
    audit.append(
        db,
        actor=call.actor,
        action="slot.second-frame",
        on=f"message/{earlier.id}",
        run=str(call.run.id),
        first=earlier.digest.hex(),
        second=sha256(posted.data).hexdigest(),
    )
    return Problem(SLOT_TAKEN, f"message {earlier.id} already occupies this slot; a slot takes one frame")


async def poll(call: Call[PollQuery, None], request: web.Request) -> RouteAnswer:
    """Return the next messages, waiting for them if there are none."""
    del request
    query = call.query
    clock = asyncio.get_running_loop().time
    started = clock()
    if query.wait and call.relay.long_polls.waiting() >= call.relay.config.max_polls:
        raise Problem(UNAVAILABLE, "too many sites are waiting for messages; retry later")
    with call.relay.long_polls.poll(call.signer) as waiting:
        while True:
            await asyncio.sleep(call.relay.long_polls.rest_s(call.signer) if query.wait else 0)
            found = await _page(call, query)
            left = started + query.wait - clock()
            if found.messages or left <= 0 or not await waiting.wait(left):
                if found.messages:
                    call.relay.long_polls.answered(call.signer)
                call.waited_s = clock() - started
                return RouteAnswer(200, found)


async def _page(call: AnyCall, query: PollQuery) -> Messages:
    def view(db: Connection) -> list[ListedMessage]:
        role_of(db, call.signer)  # the key may have ended while it waited
        return store.page(db, call.signer, after=query.after, limit=query.limit)

    return _cut(await call.relay.database.read(view), query.after)


def parcels(call: Call[PageQuery, None], db: Connection) -> RouteAnswer:
    """Return a run's next parcels to the signer."""
    query = call.query
    rows = store.parcels(db, call.signer, call.run.id, after=query.after, limit=query.limit)
    return RouteAnswer(200, _cut(rows, query.after))


def _cut(rows: list[ListedMessage], after: int) -> Messages:
    found: list[Message] = []
    size = 0
    for row in rows:
        size += len(row.frame or b"")
        if found and size > PAGE_BYTES:
            break
        found.append(_message(row))
    return Messages(messages=found, next=found[-1].id if found else after)


def fetch(call: AnyCall, db: Connection) -> RouteAnswer:
    """Return one frame."""
    del db
    return RouteAnswer(200, call.message.frame)


def _message(row: ListedMessage) -> Message:
    payload = None
    if row.payload is not None and row.payload_size is not None and row.payload_digest is not None:
        payload = PayloadRef(id=str(row.payload), size=row.payload_size, digest=row.payload_digest)
    return Message(
        id=row.id, run=row.run, project=row.project, sender=row.sender, size=row.size, frame=row.frame, payload=payload
    )


ROUTES = (
    Route(
        name="post_message",
        method="POST",
        path="/v1/runs/{run}/messages",
        summary="Post a frame, with at most one payload",
        access=Access.RUN_WRITER,
        query=PostQuery,
        body=SignedFrame(),
        answers={201: MessageId, 200: MessageId},
        refusals=(BAD_FRAME, FORBIDDEN, NOT_FOUND, CONFLICT, SLOT_TAKEN, STALE_LEASE, QUOTA),
        writes=post,
        appends=True,
    ),
    Route(
        name="messages",
        method="GET",
        path="/v1/messages",
        summary="The next messages to this site; waits if there are none",
        access=Access.SITE,
        query=PollQuery,
        answers={200: Messages},
        streams=poll,
    ),
    Route(
        name="parcels",
        method="GET",
        path="/v1/runs/{run}/parcels",
        summary="The next parcels of a run to this site: logs and artifacts",
        access=Access.RUN_READER,
        query=PageQuery,
        answers={200: Messages},
        refusals=(NOT_FOUND,),
        reads=parcels,
    ),
    Route(
        name="frame",
        method="GET",
        path="/v1/messages/{message}",
        summary="One frame",
        access=Access.MESSAGE_PARTY,
        answers={200: OCTETS},
        refusals=(NOT_FOUND,),
        reads=fetch,
    ),
)
