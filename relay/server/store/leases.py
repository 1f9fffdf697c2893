"""Leases: one holder at a time does a job, and whoever lost it is told so by its token.

A lease ends by itself. Its holder may not notice in time - its machine slept, its clock stood - and so what it does
under the lease carries the lease's token, which counts up with each new holder: `is_current`, in the transaction of the
deed, refuses an older one. Times are the database's, so that replicas whose clocks differ agree.
"""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, insert, select, update

from relay.server.store import schema
from relay.server.store.database import Row

_lease = schema.lease
_this = _lease.c.name == bindparam("the_name")

_FIND = select(_lease).where(_this)
_FREE = _FIND.with_for_update(skip_locked=True)  # of several who ask for it at once, the first; SQLite has one writer
_HELD = _FIND.with_for_update(read=True)
_ADD = insert(_lease)
_GIVE = update(_lease).where(_this)
_CLOCK = select(func.extract("epoch", func.clock_timestamp()))


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was taken: the token of its holder, and when it ends, in seconds since 1970."""

    token: int
    until: float


def take(db: Connection, name: str, *, holder: str, ttl_s: float) -> Lease | None:
    """Take or renew a lease.

    Args:
        db: the transaction.
        name: what is leased.
        holder: who asks; the holder of a lease renews it under the same token.
        ttl_s: for how long; 0 gives it back.

    Returns:
        The lease, None while another holds it.
    """
    now = _now(db)
    found = find(db, name)
    if found is None:
        db.execute(_ADD, {"name": name, "holder": holder, "token": 1, "until": now + ttl_s})
        return Lease(1, now + ttl_s)
    if found.holder != holder and now < found.until:
        return None
    if db.execute(_FREE, {"the_name": name}).first() is None:
        return None
    token = found.token if found.holder == holder and now < found.until else found.token + 1
    db.execute(_GIVE, {"the_name": name, "holder": holder, "token": token, "until": now + ttl_s})
    return Lease(token, now + ttl_s)


def find(db: Connection, name: str) -> Row | None:
    """Return a lease, whether it is held or over."""
    return db.execute(_FIND, {"the_name": name}).first()


def is_current(db: Connection, name: str, token: int) -> bool:
    """Tell whether nobody took the lease after the holder of this token; true until the transaction ends."""
    found = db.execute(_HELD, {"the_name": name}).first()
    return found is not None and bool(found.token == token)


def is_held(db: Connection, name: str) -> bool:
    """Tell whether somebody holds the lease now."""
    found = find(db, name)
    return found is not None and bool(_now(db) < found.until)


def _now(db: Connection) -> float:
    return float(db.execute(_CLOCK).scalar_one()) if db.dialect.name == "postgresql" else time.time()
