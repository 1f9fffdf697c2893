"""Ends runs past their deadline, whose coordinator must be gone. Spec: 04-relay-api §4."""

import time

from sqlalchemy import Connection

from relay.api.states import RunState
from relay.server.registry import run_states
from relay.server.store import runs
from relay.server.store.database import Database
from relay.service import logs
from relay.service.clock import SteadyClock

EVERY_S = 10.0
GRACE_S = 20.0
"""Extra time in which a live coordinator ends its own runs, with a better reason."""
REASON = "deadline"

_log = logs.logger(__name__)


class Deadlines:
    """Ends overdue runs; called every `EVERY_S` seconds. The first of several replicas to notice a run ends it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = SteadyClock()

    async def __call__(self) -> None:
        then = self._clock.now() - GRACE_S
        if not await self._database.read(lambda db: runs.overdue(db, then=then)):
            return
        for run in await self._database.write(lambda db: _end(db, then=then), appends=True):
            _log.warning("run ended at its deadline", run=run)


def _end(db: Connection, *, then: float) -> list[str]:
    """Fail every run with a deadline before `then`; returns their IDs."""
    ended = []
    for run in runs.overdue(db, then=then):
        state = RunState(run.state)
        if run_states.change(db, run.id, from_=state, to=RunState.FAILED, reason=REASON, now=time.time()):
            ended.append(str(run.id))
    return ended
