"""The relay's epoch, which changes with every restored backup.

A relay restored from a backup has forgotten what it acknowledged later. It starts a new epoch, visible to everyone who
remembers the old one, and assigns numbers that no earlier epoch can have assigned.
"""

from uuid import uuid4

from sqlalchemy import Connection, desc, insert, select

from relay.server.store import schema
from relay.server.store.rows import EpochRow, first

FIRST = "first start"

_epoch = schema.epoch

_ADD = insert(_epoch)
_LATEST = select(_epoch).order_by(desc(_epoch.c.since)).limit(1)


def current(db: Connection) -> EpochRow | None:
    """Return the current epoch; None in a database that has never served."""
    return first(EpochRow, db.execute(_LATEST))


def ensure(db: Connection, *, now: float) -> EpochRow:
    """Return the current epoch, starting the first one if there is none."""
    return current(db) or begin(db, cause=FIRST, now=now)


def begin(db: Connection, *, cause: str, now: float) -> EpochRow:
    """Start an epoch and return it."""
    latest = current(db)
    since = now if latest is None else max(now, latest.since + 0.001)  # even if the clock was set back
    db.execute(_ADD, {"id": uuid4(), "since": since, "cause": cause})
    found = current(db)
    assert found is not None
    return found
