"""The audit log: append-only and hash-chained, so that an entry that was edited, removed or moved shows.

An entry's bytes are the canonical encoding of its columns. A chain alone cannot show that its tail was cut off; the
relay therefore logs the head once a minute, and `verify` takes a head that somebody remembers.
"""

import json
import time
from typing import Annotated, Any

from sqlalchemy import Connection, desc, insert, select

from relay import schema
from secagg.audit import GENESIS, BrokenChainError, link, verify_chain
from secagg.codec import U64, Blob, Record, record

OPERATOR = "operator"

_audit = schema.audit

_ADD = insert(_audit)
_LAST = select(_audit.c.seq, _audit.c.head).order_by(desc(_audit.c.seq)).limit(1)
_ALL = select(_audit).order_by(_audit.c.seq)


@record
class _Entry(Record):
    seq: Annotated[int, U64]
    at_ms: Annotated[int, U64]
    actor: Annotated[bytes, Blob(256)]
    action: Annotated[bytes, Blob(256)]
    object: Annotated[bytes, Blob(512)]
    detail: Annotated[bytes, Blob(4096)]


def append(db: Connection, *, actor: str, action: str, on: str, **detail: Any) -> None:
    """Add an entry in the transaction of what it records, so that one is durable if and only if the other is.

    Args:
        db: the transaction.
        actor: `OPERATOR`, or a site's key in base64url.
        action: what was done, such as `run.changed`.
        on: to what, such as `run/<id>`.
        detail: further facts, plain values without secrets.
    """
    seq, previous = head(db)
    columns = {
        "seq": seq + 1,
        "at_ms": time.time_ns() // 1_000_000,
        "actor": actor,
        "action": action,
        "object": on,
        "detail": json.dumps(detail, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
    }
    db.execute(_ADD, columns | {"head": link(previous, _encode(columns))})


def head(db: Connection) -> tuple[int, bytes]:
    """Return the number of entries and the chain's head."""
    last = db.execute(_LAST).first()
    return (0, GENESIS) if last is None else (last.seq, last.head)


def verify(db: Connection, remembered: bytes | None = None) -> int:
    """Check the whole chain and return the number of entries.

    Args:
        db: a view.
        remembered: a head that was noted earlier; some entry must have led to it.

    Raises:
        BrokenChainError: an entry was edited, removed or moved, or the remembered head never was one of this chain.
    """
    rows = db.execute(_ALL).all()
    verify_chain((_encode(row._asdict()), row.head) for row in rows)
    gap = next((at for at, row in enumerate(rows) if row.seq != at + 1), None)
    if gap is not None:
        raise BrokenChainError(gap)
    if remembered is not None and remembered != GENESIS and all(row.head != remembered for row in rows):
        raise BrokenChainError(len(rows))
    return len(rows)


def _encode(columns: dict[str, Any]) -> bytes:
    return _Entry(
        seq=columns["seq"],
        at_ms=columns["at_ms"],
        **{name: columns[name].encode() for name in ("actor", "action", "object", "detail")},
    ).encode()
