"""Stored writes: a repeated write gets the first one's answer and has no second effect."""

from sqlalchemy import Connection, bindparam, delete, insert, select

from relay.server.store import schema
from relay.server.store.rows import NonceRow, first

KEPT_S = 600

_nonce = schema.nonce

_FIND = select(_nonce).where(_nonce.c.key == bindparam("the_key"), _nonce.c.nonce == bindparam("the_nonce"))
_ADD = insert(_nonce)
_FORGET = delete(_nonce).where(_nonce.c.created < bindparam("then"))


def find(db: Connection, key: bytes, nonce: str) -> NonceRow | None:
    """Return the request and answer of the write with this nonce."""
    return first(NonceRow, db.execute(_FIND, {"the_key": key, "the_nonce": nonce}))


def add(
    db: Connection, *, key: bytes, nonce: str, request: bytes, status: int, content_type: str, answer: bytes, now: float
) -> None:
    """Store a write with its answer, in the same transaction as its effect."""
    values = {"key": key, "nonce": nonce, "request": request, "created": now}
    db.execute(_ADD, values | {"status": status, "content_type": content_type, "answer": answer})


def forget(db: Connection, *, now: float) -> int:
    """Delete writes older than ten minutes; returns their number."""
    return db.execute(_FORGET, {"then": now - KEPT_S}).rowcount
