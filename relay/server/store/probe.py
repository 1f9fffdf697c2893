"""Checks that the database accepts writes."""

from sqlalchemy import Connection, insert, update

from relay.server.store import schema


def write(db: Connection, *, now: float) -> None:
    """Rewrite the probe's only row."""
    if db.execute(update(schema.probe).values(at=now)).rowcount == 0:
        db.execute(insert(schema.probe).values(id=1, at=now))
