"""The standby watches the runs of its identity, and takes over any that no process executes any more.

The process that executes a run holds its lease at the relay and stores checkpoints there. When the lease has expired, a
standby acquires it and continues from the last checkpoint; from then on the relay refuses everything the previous
process sends. A run without a checkpoint fails with a reason.
"""

import asyncio
import time
from uuid import UUID

from coordinator.journal import figures
from coordinator.projects.amendments import runnable
from coordinator.projects.projects import led
from coordinator.runs.checkpoints import RunCheckpoints
from coordinator.runs.lifecycle import carry_out, sweep
from coordinator.session.progress import in_log
from coordinator.session.session import Session
from relay.client.transport import RelayError, RelayRun, RelayUnavailableError, RunState
from relay.party.disk import DiskError
from relay.service.logs import bind, logger
from secagg.errors import SecaggError

WORKED_ON = frozenset({RunState.CREATED, RunState.PREPARING, RunState.RUNNING})
"""States in which a process should execute the run; a paused run waits for a person."""
LEFT = "its coordinator is gone and left no checkpoint"

_log = logger(__name__)


class Standby:
    """Watches the runs of one identity."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._working: dict[UUID, asyncio.Task[None]] = {}

    async def watch(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set; runs in progress are left to the next process."""
        every_s = self._session.settings.lease_s / 2
        while not stop.is_set():
            try:
                await self._session.disk.persist(self.look)
                self._session.disk.fill()
                with self._session.disk.watched():
                    self._session.metrics.add(figures.take(self._session.journal))
            except DiskError as error:
                _log.warning("figures-not-taken", detail=str(error))
            except (RelayUnavailableError, RelayError) as error:
                _log.warning("relay-away", detail=str(error))
            try:
                await asyncio.wait_for(stop.wait(), every_s)
            except TimeoutError:
                continue
        for task in self._working.values():
            task.cancel()
        await asyncio.gather(*self._working.values(), return_exceptions=True)

    async def look(self) -> None:
        """Check all runs once, and start to execute each abandoned one."""
        await sweep(self._session)
        self._working = {run: task for run, task in self._working.items() if not task.done()}
        for project in await led(self._session.relay):
            for run in await self._session.relay.runs(project):
                if self._is_left(run) and run.id not in self._working:
                    self._working[run.id] = asyncio.create_task(self._take_over(project, run.id))

    def _is_left(self, run: RelayRun) -> bool:
        """Return whether a run seems abandoned: it should be running, but was quiet for longer than a lease lasts.

        Only acquiring the lease settles it.
        """
        quiet_s = time.time() - run.updated
        return run.state in WORKED_ON and run.deadline is not None and quiet_s > self._session.settings.lease_s

    async def _take_over(self, project: UUID, run: UUID) -> None:
        with bind(run=str(run)):
            try:
                if not await taken_up(self._session, run):
                    return
                _log.info("run-taken-over", project=project)
                self._session.metrics.taken_over()
                terms = self._session.records.get(run).terms
                found = await runnable(self._session.relay, self._session.identity, project, terms=terms)
                await carry_out(run, found, self._session, in_log)
            except SecaggError as error:  # the run has failed with this reason, or another process executes it
                _log.info("run-left", detail=str(error), error=type(error).__name__)


async def taken_up(session: Session, run: UUID) -> bool:
    """Acquire the lease of an abandoned run and load its last checkpoint; returns whether the run can continue.

    Raises:
        RelayError: `stale-lease`: another process executes it.
        JournalError: another process on this machine executes it.
        CheckpointError: the checkpoints are not what its coordinator stored.
    """
    with session.journal.hold(str(run)):
        lease = await session.relay.lease_run(run, session.holder, session.settings.lease_s)
        await RunCheckpoints(run, session.journal, session.identity, session.relay).catch_up()
        if any(record.run == run and not record.is_over for record in session.records.all()):
            return True
        found = await session.relay.run(run)
        if found.state in WORKED_ON:
            await session.relay.change_run(run, found.state, RunState.FAILED, LEFT, lease=lease.token)
        await session.relay.lease_run(run, session.holder, 0)
        return False
