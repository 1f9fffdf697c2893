"""What is known of payloads; their bytes are in the blob folder."""

from uuid import UUID, uuid4

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from relay import schema
from relay.store.database import Row
from secagg.codec import tagged_hash

_blob = schema.blob
_this = _blob.c.id == bindparam("the_blob")

_ANNOUNCED = select(_blob).where(_blob.c.announcement == bindparam("the_announcement"))
_ADD = insert(_blob)
_FIND = select(_blob).where(_this)
_ADVANCE = update(_blob).where(_this, _blob.c.received == bindparam("before"))
_DISCARD = delete(_blob).where(_this)


def announcement(run: UUID, sender: bytes, recipient: bytes | None, size: int, digest: bytes) -> bytes:
    """Return the hash that makes the same announcement the same payload."""
    return tagged_hash("relay-payload", run.bytes, sender, recipient or b"", size.to_bytes(8, "big"), digest)


def announced(db: Connection, announcement_: bytes) -> Row | None:
    """Return the payload of an announcement."""
    return db.execute(_ANNOUNCED, {"the_announcement": announcement_}).first()


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
    """Note an announced payload and return its ID."""
    made = uuid4()
    values = {"id": made, "announcement": announcement_, "run": run, "sender": sender, "recipient": recipient}
    state = {"size": size, "digest": digest, "received": 0, "complete": False, "created": now}
    db.execute(_ADD, values | state)
    return made


def find(db: Connection, blob: UUID) -> Row | None:
    """Return a payload."""
    return db.execute(_FIND, {"the_blob": blob}).first()


def advance(db: Connection, blob: UUID, *, from_: int, to: int, complete: bool) -> bool:
    """Note that bytes up to `to` are durable, if they were up to `from_` before; False if they were not."""
    values = {"received": to, "complete": complete}
    return db.execute(_ADVANCE, {"the_blob": blob, "before": from_} | values).rowcount == 1


def discard(db: Connection, blob: UUID) -> None:
    """Forget a payload whose bytes are not what was announced."""
    db.execute(_DISCARD, {"the_blob": blob})
