"""The times when recurring work (backups, audit checks) last succeeded, in any process."""

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from relay.server.store import schema

BACKUP = "backup"
AUDIT_VERIFIED = "audit-verified"
AUDIT_BROKEN = "audit-broken"

_milestone = schema.milestone

_MOVE = update(_milestone).where(_milestone.c.name == bindparam("the_name"))
_ADD = insert(_milestone)
_FORGET = delete(_milestone).where(_milestone.c.name == bindparam("the_name"))
_ALL = select(_milestone)


def reach(db: Connection, name: str, *, now: float, detail: str = "") -> None:
    """Record that this work succeeded now."""
    if db.execute(_MOVE, {"the_name": name, "at": now, "detail": detail}).rowcount == 0:
        db.execute(_ADD, {"name": name, "at": now, "detail": detail})


def reached(db: Connection) -> dict[str, float]:
    """Return when each kind of work last succeeded, omitting those that never did."""
    return {row.name: row.at for row in db.execute(_ALL)}


def forget(db: Connection, name: str) -> None:
    """Delete a record."""
    db.execute(_FORGET, {"the_name": name})
