"""Voids state in the database of a restored backup, so that nothing that must count once counts twice.

Spec: operations §3.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, text, update

from relay.api.states import FINAL_RUN, RunState
from relay.server.store import audit, epochs, schema
from relay.server.store.rows import EpochRow

REASON = "relay-restored"

_run, _token, _nonce = schema.run, schema.token, schema.nonce
_blob, _piece, _lease = schema.blob, schema.piece, schema.lease

_OPEN = select(_run.c.id, _run.c.state).where(_run.c.state.not_in(FINAL_RUN)).order_by(_run.c.id)
_FAIL = update(_run).where(_run.c.state.not_in(FINAL_RUN))
_REVOKE = update(_token).where(_token.c.used.is_(None), _token.c.revoked.is_(None))
_FORGET_NONCES = delete(_nonce)
_END_LEASES = update(_lease).values(until=0.0, token=_lease.c.token + (1 << 32))  # above any issued since
_FORGET_PIECES = delete(_piece).where(_piece.c.blob.in_(select(_blob.c.id).where(_blob.c.complete.is_(False))))
_FORGET_PARTS = delete(_blob).where(_blob.c.complete.is_(False))

_SEQUENCE = text("UPDATE sqlite_sequence SET seq = max(seq, :first) WHERE name = 'message'")
_FIRST_SEQUENCE = text("INSERT INTO sqlite_sequence (name, seq) VALUES ('message', :first)")
_POSTGRES_SEQUENCE = text("SELECT setval(pg_get_serial_sequence('message', 'id'), :first)")

_MESSAGES_A_SECOND = 1 << 20


@dataclass(frozen=True, slots=True)
class Voided:
    """The result of `void`: the new epoch's row, and the numbers of voided runs, tokens and stored writes."""

    epoch: EpochRow
    runs: int
    tokens: int
    nonces: int


def void(db: Connection, *, cause: str, now: float) -> Voided:
    """Start a new epoch: fail open runs, revoke unused tokens, delete nonces and partial uploads, skip numbers."""
    open_runs = list(db.execute(_OPEN))
    db.execute(_FAIL, {"state": RunState.FAILED, "reason": REASON, "updated": now})
    tokens = db.execute(_REVOKE, {"revoked": now}).rowcount
    nonces = db.execute(_FORGET_NONCES).rowcount
    for statement in (_END_LEASES, _FORGET_PIECES, _FORGET_PARTS):
        db.execute(statement)
    _skip_numbers(db, int(now) * _MESSAGES_A_SECOND)
    epoch = epochs.begin(db, cause=cause, now=now)
    audit.append(
        db, actor=audit.OPERATOR, action="relay.restored", on=f"epoch/{epoch.id}", cause=cause, revoked_tokens=tokens
    )
    for run in open_runs:
        audit.append(
            db,
            actor=audit.OPERATOR,
            action="run.changed",
            on=f"run/{run.id}",
            before=run.state,
            after=RunState.FAILED,
            reason=REASON,
        )
    return Voided(epoch, len(open_runs), tokens, nonces)


def _skip_numbers(db: Connection, first: int) -> None:
    """Number the next message above any that an earlier epoch can have assigned, as readers wait for higher ones."""
    if db.dialect.name == "postgresql":
        db.execute(_POSTGRES_SEQUENCE, {"first": first})
    elif db.execute(_SEQUENCE, {"first": first}).rowcount == 0:
        db.execute(_FIRST_SEQUENCE, {"first": first})
