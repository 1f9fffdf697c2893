"""The audit log: append-only and hash-chained, so that an edited, removed or moved entry is detected.

Spec: operations §4. An entry's bytes are the canonical encoding of its columns. A chain alone cannot reveal that its
tail was cut off; the relay therefore signs checkpoints, and `verify` accepts those kept elsewhere.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from sqlalchemy import Connection, bindparam, desc, insert, select

from relay.server.core.checkpoint import Checkpoint
from relay.server.store import checkpoints, schema
from relay.server.store.rows import AuditRow, every
from secagg.audit import GENESIS, BrokenChainError, link
from secagg.codec import U64, Blob, Record, record
from secagg.errors import SecaggError

OPERATOR = "operator"
_PAGE = 1000

_audit = schema.audit

_ADD = insert(_audit)
_LAST = select(_audit.c.seq, _audit.c.head).order_by(desc(_audit.c.seq)).limit(1)
_ALL = select(_audit).order_by(_audit.c.seq)
_BEHIND = _ALL.where(_audit.c.seq > bindparam("after")).limit(bindparam("most"))


@record
class _Entry(Record):
    seq: Annotated[int, U64]
    at_ms: Annotated[int, U64]
    actor: Annotated[bytes, Blob(256)]
    action: Annotated[bytes, Blob(256)]
    object: Annotated[bytes, Blob(512)]
    detail: Annotated[bytes, Blob(4096)]


class TruncatedLogError(SecaggError):
    """The end of the log was cut off: a checkpoint covers more entries than there are."""

    def __init__(self, entries_: int, covered: int) -> None:
        super().__init__(f"the log has {entries_} entries but a checkpoint covers {covered}: its end was cut off")


def append(db: Connection, *, actor: str, action: str, on: str, **detail: Any) -> None:
    """Append an entry in the transaction that it records, so that either both are durable or neither is.

    Args:
        db: transaction.
        actor: `OPERATOR`, or a site's key in base64url.
        action: what was done, such as `run.changed`.
        on: object of the action, such as `run/<id>`.
        detail: further facts; plain values without secrets.
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
    """Return the number of entries and the chain head."""
    last = db.execute(_LAST).first()
    return (0, GENESIS) if last is None else (last.seq, last.head)


def page(db: Connection, *, after: int, limit: int) -> list[AuditRow]:
    """Return the entries after a given one, in order."""
    return every(AuditRow, db.execute(_BEHIND, {"after": after, "most": limit}))


def verify(db: Connection, remembered: bytes | None = None, kept: Iterable[Checkpoint] = ()) -> int:
    """Check the whole chain against the stored checkpoints and those kept elsewhere; return the number of entries.

    Args:
        db: read view.
        remembered: head noted earlier; it must be the head after some entry.
        kept: checkpoints kept elsewhere, with signatures already checked.

    Raises:
        BrokenChainError: an entry was edited, removed or moved, or the remembered head was never part of this chain.
        TruncatedLogError: a checkpoint covers more entries than there are.
        BadCheckpointError: a stored checkpoint is not signed by the key that it names.
    """
    stored = checkpoints.all_checkpoints(db)
    for checkpoint in stored:
        checkpoint.check()
    return verify_entries(entries(db), [*stored, *kept], remembered)


def entries(db: Connection) -> Iterator[Mapping[str, Any]]:
    """Yield every entry in order, with the head after it."""
    for row in db.execute(_ALL.execution_options(yield_per=_PAGE)):
        yield row._asdict()


def verify_entries(
    found: Iterable[Mapping[str, Any]], checkpoints_: Iterable[Checkpoint], remembered: bytes | None = None
) -> int:
    """Check entries from any source; arguments and errors as for `verify`."""
    at: dict[int, list[Checkpoint]] = {}
    for checkpoint in checkpoints_:
        at.setdefault(checkpoint.entries, []).append(checkpoint)
    number, current, seen = 0, GENESIS, remembered in {None, GENESIS}
    for number, entry in enumerate(found, start=1):
        current = link(current, _encode(entry))
        if entry["head"] != current or entry["seq"] != number:
            raise BrokenChainError(number - 1)
        if any(checkpoint.head != current for checkpoint in at.pop(number, ())):
            raise BrokenChainError(number - 1)
        seen = seen or current == remembered
    if any(checkpoint.head != GENESIS for checkpoint in at.pop(0, ())) or not seen:
        raise BrokenChainError(number)
    if at:
        raise TruncatedLogError(number, max(at))
    return number


def _encode(columns: Mapping[str, Any]) -> bytes:
    return _Entry(
        seq=columns["seq"],
        at_ms=columns["at_ms"],
        **{name: columns[name].encode() for name in ("actor", "action", "object", "detail")},
    ).encode()
