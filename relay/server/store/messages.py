"""Messages and their readers."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Connection, Select, bindparam, case, delete, func, insert, select

from relay.api.wire import FIRST_PARCEL, INLINE_FRAME_BYTES
from relay.server.store import schema
from relay.server.store.rows import FrameRow, ListedMessage, SlotRow, every, first
from secagg.codec import tagged_hash, u32
from secagg.envelope import Frame

_message, _delivery, _blob, _run = schema.message, schema.delivery, schema.blob, schema.run
_to_me = _delivery.c.recipient == bindparam("the_reader")
_this = _message.c.id == bindparam("the_message")

_IN_SLOT = select(_message.c.id, _message.c.digest, _message.c.payload).where(_message.c.slot == bindparam("the_slot"))
_ADD = insert(_message).returning(_message.c.id)
_DELIVER = insert(_delivery)
_PAGE_OF = (
    select(
        _message.c.id,
        _message.c.run,
        _run.c.project,
        _message.c.sender,
        _message.c.size,
        case((_message.c.size <= INLINE_FRAME_BYTES, _message.c.frame)).label("frame"),
        _blob.c.id.label("payload"),
        _blob.c.size.label("payload_size"),
        _blob.c.digest.label("payload_digest"),
    )
    .select_from(_delivery)
    .join(_message, _message.c.id == _delivery.c.message)
    .join(_run, _run.c.id == _message.c.run)
    .outerjoin(_blob, _blob.c.id == _message.c.payload)
    .where(_to_me, _delivery.c.message > bindparam("after"))
    .order_by(_delivery.c.message)
    .limit(bindparam("most"))
)
_PAGE = _PAGE_OF.where(_message.c.kind < FIRST_PARCEL)
_PARCELS = _PAGE_OF.where(_message.c.kind >= FIRST_PARCEL, _message.c.run == bindparam("the_run"))
_FIND = select(_message.c.id, _message.c.sender, _message.c.frame).where(_this)
_IS_READER = select(_delivery.c.message).where(_to_me, _delivery.c.message == bindparam("the_message"))
_DROP = delete(_delivery).where(_to_me)
_ORDER = 0x5EC_A67
_AFTER_THOSE_TO_ONE = select(
    func.pg_advisory_xact_lock_shared(_ORDER), func.pg_advisory_xact_lock(bindparam("the_reader", type_=BigInteger))
)
_AFTER_ALL = select(func.pg_advisory_xact_lock(_ORDER))
_NEWEST = select(func.max(_message.c.id))
_READERS_SINCE = select(_delivery.c.recipient).where(_delivery.c.message > bindparam("after")).distinct()


def slot(run: UUID, sender: bytes, recipient: bytes | None, frame: Frame) -> bytes:
    """Return the hash that identifies a frame's slot: run, sender, recipient, epoch, round and kind."""
    place = (frame.epoch, u32(frame.round), bytes([frame.kind]))
    return tagged_hash("relay-slot", run.bytes, sender, recipient or b"", *place)


def in_slot(db: Connection, slot_: bytes) -> SlotRow | None:
    """Return the ID, digest and payload of the message in a slot."""
    return first(SlotRow, db.execute(_IN_SLOT, {"the_slot": slot_}))


def add(
    db: Connection,
    *,
    run: UUID,
    sender: bytes,
    recipient: bytes | None,
    slot_: bytes,
    frame: Frame,
    data: bytes,
    payload: UUID | None,
    readers: Iterable[bytes],
    now: float,
) -> int:
    """Store a message with its readers and return its ID, larger than any ID that they can see."""
    readers = list(readers)
    if db.dialect.name == "postgresql":
        db.execute(*_turn(readers))
    number: int = db.execute(
        _ADD,
        {
            "run": run,
            "sender": sender,
            "recipient": recipient,
            "slot": slot_,
            "round": frame.round,
            "kind": frame.kind,
            "payload": payload,
            "created": now,
            "digest": sha256(data).digest(),
            "size": len(data),
            "frame": data,
        },
    ).scalar_one()
    deliveries = [{"recipient": reader, "message": number} for reader in readers]
    if deliveries:
        db.execute(_DELIVER, deliveries)
    return number


def _turn(readers: list[bytes]) -> tuple[Select[Any], dict[str, int]]:
    """Return the statement that makes a message wait for its ID, in a database with more than one writer.

    Readers continue from the largest ID that they saw, so no message to one of them may later appear with a smaller ID.
    A message to one site waits for messages to the same site or to several; a message to several sites waits for every
    other message.
    """
    if len(readers) == 1:
        return _AFTER_THOSE_TO_ONE, {"the_reader": int.from_bytes(sha256(readers[0]).digest()[:8], "big", signed=True)}
    return _AFTER_ALL, {}


def page(db: Connection, reader: bytes, *, after: int, limit: int) -> list[ListedMessage]:
    """Return a site's next messages in ascending order, with their payloads but without large frames."""
    return every(ListedMessage, db.execute(_PAGE, {"the_reader": reader, "after": after, "most": limit}))


def parcels(db: Connection, reader: bytes, run: UUID, *, after: int, limit: int) -> list[ListedMessage]:
    """Return a site's next parcels of a run, in the same form as `page`."""
    row = {"the_reader": reader, "the_run": run, "after": after, "most": limit}
    return every(ListedMessage, db.execute(_PARCELS, row))


def drop_deliveries(db: Connection, reader: bytes) -> None:
    """Drop the deliveries to a site that can no longer open them."""
    db.execute(_DROP, {"the_reader": reader})


def find(db: Connection, number: int) -> FrameRow | None:
    """Return the sender and the frame of a message."""
    return first(FrameRow, db.execute(_FIND, {"the_message": number}))


def is_reader(db: Connection, number: int, site: bytes) -> bool:
    """Return whether a message was delivered to a site."""
    return db.execute(_IS_READER, {"the_reader": site, "the_message": number}).first() is not None


def newest(db: Connection) -> int:
    """Return the largest ID; 0 if there is no message."""
    return db.scalar(_NEWEST) or 0


def readers_since(db: Connection, after: int) -> set[bytes]:
    """Return the sites that have messages with a larger ID."""
    return set(db.scalars(_READERS_SINCE, {"after": after}))
