"""Changes of a run's state, for commands, jobs and routes; each is recorded in the audit log."""

from uuid import UUID

from sqlalchemy import Connection

from relay.api.states import RunState
from relay.server.store import audit, runs


def change(
    db: Connection, run: UUID, *, from_: RunState, to: RunState, reason: str, now: float, actor: str = audit.OPERATOR
) -> bool:
    """Change a run's state if it is still `from_`; returns False otherwise."""
    if not runs.change(db, run, from_=from_, to=to, reason=reason, now=now):
        return False
    audit.append(db, actor=actor, action="run.changed", on=f"run/{run}", before=from_, after=to, reason=reason)
    return True
