"""Removes a run's content some time after it ended. The run itself and the audit log stay."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import BindParameter, Connection, bindparam, delete, select, update

from relay.api.states import FINAL_RUN
from relay.server.payloads.payload_store import Piece
from relay.server.store import payloads, schema

_run, _message, _delivery, _blob, _usage = schema.run, schema.message, schema.delivery, schema.blob, schema.usage
_of_run: BindParameter[UUID] = bindparam("the_run")
_most: BindParameter[int] = bindparam("most")

_DUE = (
    select(_run.c.id)
    .where(_run.c.state.in_(FINAL_RUN), _run.c.purged.is_(None), _run.c.updated < bindparam("then"))
    .order_by(_run.c.updated)
)
_MESSAGES = select(_message.c.id).where(_message.c.run == _of_run).order_by(_message.c.id).limit(_most)
_BLOBS = select(_blob.c.id).where(_blob.c.run == _of_run).limit(_most)
_these: BindParameter[int] = bindparam("these", expanding=True)
_DELETE_DELIVERIES = delete(_delivery).where(_delivery.c.message.in_(_these))
_DELETE_MESSAGES = delete(_message).where(_message.c.id.in_(_these))
_DELETE_USAGE = delete(_usage).where(_usage.c.run == _of_run)
_DONE = update(_run).where(_run.c.id == _of_run)


@dataclass(frozen=True, slots=True)
class Purged:
    """Content removed by a step: messages, and payloads with pieces whose objects must go; `done` if none is left."""

    messages: int
    blobs: list[tuple[UUID, list[Piece]]]
    done: bool


def due(db: Connection, *, then: float) -> list[UUID]:
    """Return runs that ended before `then` and still have content."""
    return list(db.scalars(_DUE, {"then": then}))


def purge(db: Connection, run: UUID, *, most: int, now: float) -> Purged:
    """Remove at most `most` of a run's messages or, after those, its payloads: a step too short to hold up others."""
    messages = list(db.scalars(_MESSAGES, {"the_run": run, "most": most}))
    if messages:
        db.execute(_DELETE_DELIVERIES, {"these": messages})
        db.execute(_DELETE_MESSAGES, {"these": messages})
        return Purged(len(messages), [], done=False)
    blobs = [(blob, payloads.discard(db, blob)) for blob in db.scalars(_BLOBS, {"the_run": run, "most": most}).all()]
    if not blobs:
        db.execute(_DELETE_USAGE, {"the_run": run})
        db.execute(_DONE, {"the_run": run, "purged": now})
    return Purged(0, blobs, done=not blobs)


def discard_unfinished(db: Connection, *, then: float, most: int) -> list[tuple[UUID, list[Piece]]]:
    """Delete payloads that were announced before `then` and never completed."""
    return [(blob, payloads.discard(db, blob)) for blob in payloads.unfinished(db, then=then, most=most)]
