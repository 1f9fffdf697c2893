"""Payload records; the bytes are in the blob store."""

from collections.abc import Iterable
from uuid import UUID, uuid4

from sqlalchemy import BindParameter, Connection, bindparam, delete, insert, select, update

from relay.server.payloads.payload_store import Piece, object_name
from relay.server.store import schema
from relay.server.store.rows import BlobRow, first
from secagg.codec import tagged_hash

_blob, _piece = schema.blob, schema.piece
_this = _blob.c.id == bindparam("the_blob")

_ANNOUNCED = select(_blob).where(_blob.c.announcement == bindparam("the_announcement"))
_ADD = insert(_blob)
_FIND = select(_blob).where(_this)
_ADVANCE = update(_blob).where(_this, _blob.c.received == bindparam("before"))
_DISCARD = delete(_blob).where(_this)
_of_this = _piece.c.blob == bindparam("the_blob")
_PIECES = select(_piece).where(_of_this).order_by(_piece.c.offset)
_ADD_PIECE = insert(_piece)
_DISCARD_PIECES = delete(_piece).where(_of_this)
_among: BindParameter[UUID] = bindparam("the_blobs", expanding=True)
_KNOWN = select(_blob.c.id).where(_blob.c.id.in_(_among))
_KNOWN_PIECES = select(_piece).where(_piece.c.blob.in_(_among))
_UNFINISHED = (
    select(_blob.c.id).where(_blob.c.complete.is_(False), _blob.c.created < bindparam("then")).limit(bindparam("most"))
)


def announcement(run: UUID, sender: bytes, recipient: bytes | None, size: int, digest: bytes) -> bytes:
    """Return a hash that is the same for equal announcements, so that they share one payload."""
    return tagged_hash("relay-payload", run.bytes, sender, recipient or b"", size.to_bytes(8, "big"), digest)


def announced(db: Connection, announcement_: bytes) -> BlobRow | None:
    """Return the payload of an announcement."""
    return first(BlobRow, db.execute(_ANNOUNCED, {"the_announcement": announcement_}))


def add(
    db: Connection,
    *,
    run: UUID,
    sender: bytes,
    recipient: bytes | None,
    size: int,
    digest: bytes,
    announcement_: bytes,
    now: float,
) -> UUID:
    """Record an announced payload and return its ID."""
    made = uuid4()
    values = {"id": made, "announcement": announcement_, "run": run, "sender": sender, "recipient": recipient}
    state = {"size": size, "digest": digest, "received": 0, "complete": False, "created": now}
    db.execute(_ADD, values | state)
    return made


def find(db: Connection, blob: UUID) -> BlobRow | None:
    """Return a payload."""
    return first(BlobRow, db.execute(_FIND, {"the_blob": blob}))


def advance(db: Connection, blob: UUID, *, from_: int, to: int, complete: bool) -> bool:
    """Record that bytes up to `to` are durable if the previous end was `from_`; returns False otherwise."""
    values = {"received": to, "complete": complete}
    return db.execute(_ADVANCE, {"the_blob": blob, "before": from_} | values).rowcount == 1


def discard(db: Connection, blob: UUID) -> list[Piece]:
    """Delete a payload that no message carries; returns its pieces, whose objects must be removed."""
    gone = pieces(db, blob)
    db.execute(_DISCARD_PIECES, {"the_blob": blob})
    db.execute(_DISCARD, {"the_blob": blob})
    return gone


def pieces(db: Connection, blob: UUID) -> list[Piece]:
    """Return the pieces stored as separate objects, ascending."""
    return [Piece(row.offset, row.size, row.digest) for row in db.execute(_PIECES, {"the_blob": blob})]


def add_piece(db: Connection, blob: UUID, piece: Piece) -> None:
    """Record a piece stored as a separate object, in the transaction that counts it."""
    db.execute(_ADD_PIECE, {"blob": blob, "offset": piece.offset, "size": piece.size, "digest": piece.digest})


def names(db: Connection, blobs: Iterable[UUID]) -> set[str]:
    """Return the possible names of these payloads' files and objects in the store."""
    among = {"the_blobs": list(blobs)}
    files = {blob.hex for blob in db.scalars(_KNOWN, among)}
    rows = db.execute(_KNOWN_PIECES, among)
    return files | {object_name(row.blob, Piece(row.offset, row.size, row.digest)) for row in rows}


def unfinished(db: Connection, *, then: float, most: int) -> list[UUID]:
    """Return payloads announced before `then` that are still incomplete."""
    return list(db.scalars(_UNFINISHED, {"then": then, "most": most}))
