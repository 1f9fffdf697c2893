"""Signed checkpoints of the audit log, one for each length at which the log was signed."""

from sqlalchemy import Connection, bindparam, desc, insert, select, update

from relay.server.core.checkpoint import Checkpoint
from relay.server.store import schema
from relay.server.store.database import Row

_checkpoint = schema.checkpoint

_RENEW = update(_checkpoint).where(_checkpoint.c.entries == bindparam("the_entries"))
_ADD = insert(_checkpoint)
_ALL = select(_checkpoint).order_by(_checkpoint.c.entries)
_LATEST = select(_checkpoint).order_by(desc(_checkpoint.c.entries)).limit(1)


def put(db: Connection, checkpoint: Checkpoint) -> None:
    """Store a checkpoint, replacing an older one of the same length."""
    values = {"at_ms": checkpoint.at_ms, "head": checkpoint.head, "key": checkpoint.key}
    values |= {"signature": checkpoint.signature}
    if db.execute(_RENEW, {"the_entries": checkpoint.entries} | values).rowcount == 0:
        db.execute(_ADD, {"entries": checkpoint.entries} | values)


def latest(db: Connection) -> Checkpoint | None:
    """Return the checkpoint that covers the most entries."""
    row = db.execute(_LATEST).first()
    return None if row is None else _of_row(row)


def all_checkpoints(db: Connection) -> list[Checkpoint]:
    """Return every checkpoint, fewest entries first."""
    return [_of_row(row) for row in db.execute(_ALL)]


def _of_row(row: Row) -> Checkpoint:
    return Checkpoint(row.entries, row.at_ms, row.head, row.key, row.signature)
