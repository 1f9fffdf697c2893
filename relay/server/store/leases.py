"""Leases: one holder at a time does a job, and a holder that lost the lease is detected by its token.

A lease expires on its own. Its holder may notice too late (its machine slept, its clock stopped), so everything it does
under the lease carries the lease's token, which increases with each new holder: `is_current`, called in the same
transaction, rejects older tokens. Times are the database's, so that replicas with different clocks agree.
"""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, insert, select, update

from relay.server.store import schema
from relay.server.store.rows import LeaseRow, first

_lease = schema.lease
_this = _lease.c.name == bindparam("the_name")

_FIND = select(_lease).where(_this)
_FREE = _FIND.with_for_update(skip_locked=True)  # the first of several concurrent requests; SQLite has one writer
_HELD = _FIND.with_for_update(read=True)
_ADD = insert(_lease)
_GIVE = update(_lease).where(_this)
_CLOCK = select(func.extract("epoch", func.clock_timestamp()))


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was taken: the holder's token, and the end in seconds since 1970."""

    token: int
    until: float


def take(db: Connection, name: str, *, holder: str, ttl_s: float) -> Lease | None:
    """Take or renew a lease.

    Args:
        db: the transaction.
        name: name of the leased job or run.
        holder: name of the requester; the current holder renews its lease under the same token.
        ttl_s: duration in seconds; 0 releases the lease.

    Returns:
        The lease, or None while another holder has it.
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


def find(db: Connection, name: str) -> LeaseRow | None:
    """Return a lease, whether held or expired."""
    return first(LeaseRow, db.execute(_FIND, {"the_name": name}))


def is_current(db: Connection, name: str, token: int) -> bool:
    """Return whether no one took the lease after this token's holder; if so, no one can until the transaction ends."""
    found = db.execute(_HELD, {"the_name": name}).first()
    return found is not None and bool(found.token == token)


def is_held(db: Connection, name: str) -> bool:
    """Return whether the lease is currently held."""
    found = find(db, name)
    return found is not None and bool(_now(db) < found.until)


def _now(db: Connection) -> float:
    return float(db.execute(_CLOCK).scalar_one()) if db.dialect.name == "postgresql" else time.time()
