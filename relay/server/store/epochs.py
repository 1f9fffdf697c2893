"""The relay's epoch: which life of its database this is.

A relay that is set back to a backup has forgotten what it acknowledged since. It begins a new epoch, so that everybody
who remembers the old one sees it, and gives numbers that no earlier life can have given.
"""

from uuid import uuid4

from sqlalchemy import Connection, desc, insert, select

from relay.server.store import schema
from relay.server.store.database import Row

FIRST = "first start"

_epoch = schema.epoch

_ADD = insert(_epoch)
_LATEST = select(_epoch).order_by(desc(_epoch.c.since)).limit(1)


def current(db: Connection) -> Row | None:
    """Return the epoch in force; None in a database that never served."""
    return db.execute(_LATEST).first()


def ensure(db: Connection, *, now: float) -> Row:
    """Return the epoch in force, beginning the first one where there is none."""
    return current(db) or begin(db, cause=FIRST, now=now)


def begin(db: Connection, *, cause: str, now: float) -> Row:
    """Begin an epoch and return it."""
    latest = current(db)
    since = now if latest is None else max(now, latest.since + 0.001)  # also where the clock was set back
    db.execute(_ADD, {"id": uuid4(), "since": since, "cause": cause})
    found = current(db)
    assert found is not None
    return found
