"""A run from its order to a final state, in the journal and at the relay, by its deadline, whatever happens.

`begin` enters a run in the journal; `carry_out` executes it until it is over, paused or taken over. Two
tasks run side by side: the work, which runs the analyses over their secure sums, and the watch, which renews the lease
and stops the work at the deadline, on request, or when the relay or another process has ended the run. After an
outage of the relay or the disk, the work resumes from the journal.
"""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar
from uuid import UUID, uuid4

from coordinator.journal.receipts import ReceiptLog, conclude
from coordinator.journal.records import RequestedAction, RunRecord
from coordinator.journal.standings import SiteStandings
from coordinator.journal.tables import ReleasedSum, RunTables
from coordinator.projects.projects import SealedProject
from coordinator.runs.channel import RunChannel
from coordinator.runs.checkpoints import RunCheckpoints
from coordinator.runs.driver import Driver, Participants, Timeouts
from coordinator.runs.errors import RunCancelledError, RunEndedError, RunOverdueError, RunPausedError, TakenOverError
from coordinator.runs.secure_sum import HeldBySitesError, RunSum, value_bits_of
from coordinator.runs.unmasking import recoverer
from coordinator.session.progress import Event, Show
from coordinator.session.session import Session
from participant.analyses.base.coverage import Covering
from participant.analyses.base.errors import SpecError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.bound import BoundQuery
from participant.study.asks import columns_of, first_query
from participant.study.terms import ProjectTerms
from relay.api.states import FINAL_RUN
from relay.api.wire import RunLease
from relay.client.transport import RelayError, RelayUnavailableError, RunState
from relay.party.disk import DiskError
from relay.party.journal import JournalError, RestoredStateError
from relay.service.clock import SteadyClock
from relay.service.logs import bind, logger
from secagg.errors import NotEnoughParticipantsError, ParameterError, SecaggError

LOOK_S = 0.5
"""Interval at which the watch checks the clock and the requests of commands."""
ASK_S = 5.0
"""Longest time the watch waits for the relay: an unreachable relay must not keep it from the clock."""
SETTLE_S = 20.0
"""Longest time a process that ends a run tries to tell the relay, which ends overdue runs itself."""
AWAY_S = 2.0
LATE_S = 60.0
"""Longest time after its deadline in which a run reaches a final state."""
DEADLINE = "deadline"
RESTORED = "relay-restored: the relay was restored from a backup that is older than this run; rerun it with: retry"

_log = logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeldBySites:
    """The outcome of an analysis whose sum its sites keep to themselves."""

    analysis: str
    round: int
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The outcome of a run.

    Attributes:
        results: result of each task in order, or the sites that hold it.
        answers: every query that was asked, with its round, sites and sum.
        bytes_heard: number of bytes that each site sent to the coordinator, by site name.
    """

    results: tuple[AnalysisResult | HeldBySites, ...]
    answers: tuple[tuple[BoundQuery, ReleasedSum], ...]
    bytes_heard: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The tasks of a run, and the limits it must observe.

    Attributes:
        tasks: analyses of the run, in order.
        task: index of the project task that the run executes, or None.
        within_s: seconds the run may take, or None for the configured time.
        quorum: minimum number of sites in a sum; the protocol's and the sites' own floors apply as well.
        repeats: ID of the run that this one reruns, or None.
    """

    tasks: tuple[TableSpec, ...]
    task: int | None = None
    within_s: float | None = None
    quorum: int = 0
    repeats: UUID | None = None


def begin(session: Session, sealed: SealedProject, order: Order) -> UUID:
    """Enter a run in the journal and return its ID; nobody else learns of it until it is executed.

    Raises:
        SpecError, TermsError: an analysis needs sums that the sites keep to themselves, or the project's plan or terms
            do not allow it.
        NotEnoughParticipantsError: too few sites confirmed the roster.
    """
    if not sealed.terms.coordinator_learns:
        check_single(order.tasks)
    check_plan(sealed.terms, order.tasks)
    check_terms(sealed.terms, order.tasks, value_bits_of(sealed))
    least = max(sealed.terms.minimum_sites, order.quorum)
    if len(sealed.confirmed) < least:
        raise NotEnoughParticipantsError(f"{len(sealed.confirmed)} sites confirmed the roster, {least} are needed")
    now = time.time()
    record = RunRecord(
        run=uuid4(),
        project=sealed.project.id,
        name=sealed.project.name,
        terms=sealed.project.terms,
        tasks=tuple(task.model_dump(mode="json", exclude_none=True) for task in order.tasks),
        task=order.task,
        sites=sealed.confirmed,
        value_bits=value_bits_of(sealed),
        quorum=order.quorum,
        began=now,
        deadline=now + (order.within_s or session.settings.run_s),
        repeats=order.repeats,
        position=session.journal.position,
    )
    session.records.add(record)
    return record.run


def check_plan(terms: ProjectTerms, tasks: tuple[TableSpec, ...]) -> None:
    """Raise SpecError for an analysis that is not in the project's plan: the sites would decline its queries."""
    if terms.plan is None:
        return
    planned = [spec for _, spec in terms.plan.specs(terms.dataset)]
    if beyond := [task.analysis for task in tasks if task not in planned]:
        raise SpecError(
            f"no task of the project's plan is this analysis: {', '.join(beyond)}; run a task by its name, or propose "
            "another project"
        )


def check_terms(terms: ProjectTerms, tasks: tuple[TableSpec, ...], value_bits: int) -> None:
    """Raise for an analysis that the project's terms do not allow, before a run exists that its sites would decline."""
    for task in tasks:
        if beyond := sorted(columns_of(task) - set(terms.columns)):
            meant = {name: get_close_matches(name, terms.columns, n=1) for name in beyond}
            said = (f"{name} (did you mean {near[0]}?)" if near else name for name, near in meant.items())
            raise SpecError(f"{task.analysis}: the project's terms do not include the columns {', '.join(said)}")
        terms.check(first_query(task, value_bits, pooled=terms.pooled).query)


def retry(session: Session, sealed: SealedProject, run: UUID, within_s: float | None = None) -> UUID:
    """Enter a rerun of a finished run with all current sites, and return its ID.

    Raises:
        ParameterError: there is no such run, or it is not over.
        NotEnoughParticipantsError: too few sites confirmed the roster.
    """
    record = session.records.get(run)
    if not record.is_over:
        raise ParameterError(f"run {run} is {record.state}; resume it, or cancel it before a retry")
    order = Order(tasks=record.specs, task=record.task, within_s=within_s, quorum=record.quorum, repeats=run)
    return begin(session, sealed, order)


async def carry_out(run: UUID, sealed: SealedProject, session: Session, show: Show) -> RunOutcome:
    """Execute a run of the journal until it is over, from its beginning or from where a process left it.

    Raises:
        RunPausedError, RunCancelledError: someone paused or cancelled the run.
        RunOverdueError: the deadline has passed.
        RunEndedError: the run is already over, or the relay ended it.
        TakenOverError: another process of this coordinator has taken over the run.
        JournalError: another process on this machine executes the run.
        NotEnoughParticipantsError: too few sites remained in some step.
        AnalysisError: the data give no answer.
    """
    with session.journal.hold(str(run)), bind(run=str(run)):
        record = await session.disk.persist(lambda: _begun(session, run))
        return await _Work(record, sealed, session, show).done()


async def _begun(session: Session, run: UUID) -> RunRecord:
    record = session.records.get(run)
    if record.is_over:
        raise RunEndedError(run, record.state, record.reason)
    session.records.request(run, "")
    return record


async def result_of(task: TableSpec, secure_sum: SecureSum, sites: int) -> AnalysisResult | HeldBySites:
    """Return an analysis's result with its coverage, or the sites that hold it.

    Raises the errors of the analysis and the sum.

    Args:
        task: analysis to carry out.
        secure_sum: sums that it asks for.
        sites: number of sites that the run began with.
    """
    covering = Covering(secure_sum, task, sites)
    try:
        return covering.judged(await task.analyse(covering))
    except HeldBySitesError as held:
        return HeldBySites(task.analysis, held.answer.round, held.answer.survivors)


class _Work:
    """The execution of one run by this process."""

    def __init__(self, record: RunRecord, sealed: SealedProject, session: Session, show: Show) -> None:
        self._run = record.run
        self._record = record
        self._sealed = sealed
        self._session = session
        self._clock = SteadyClock()
        self._lease: int | None = None
        self._channel: RunChannel | None = None
        names = (sealed.names[key] for key in sealed.confirmed)
        count = session.metrics.watch(record.run, record.analyses, names)

        def show_and_count(event: Event) -> None:
            show(event)
            count(event)

        self._show: Show = show_and_count

    async def done(self) -> RunOutcome:
        """Complete the run and return its outcome, or end it with the reason for its failure and raise the error."""
        persist = self._session.disk.persist
        try:
            report = await self._under_watch(self._work())
        except RunPausedError:
            await persist(self._pause)
            self._session.metrics.left(self._run, RunState.PAUSED)
            raise
        except TakenOverError:
            self._session.metrics.left(self._run, self._record.state)
            raise
        except RunEndedError as ended:
            if ended.state is RunState.COMPLETED:  # by another process, whose receipt contains what this journal lacks
                await persist(self._adopt_end)
            else:
                await self._end(ended.state, ended.reason)
            raise
        except RunCancelledError:
            await self._end(RunState.CANCELLED, "")
            raise
        except RunOverdueError:
            await self._end(RunState.FAILED, DEADLINE)
            raise
        except RelayError as error:
            if error.type != "not-found" or not await self._was_forgotten():
                await self._end(RunState.FAILED, str(error))
                raise
            await self._end(RunState.FAILED, RESTORED)
            raise RunEndedError(self._run, RunState.FAILED, RESTORED) from None
        except SecaggError as error:
            await self._end(RunState.FAILED, str(error))
            raise
        except Exception as error:
            _log.error("run-broken", exc_info=error)
            await self._end(RunState.FAILED, f"internal error: {type(error).__name__}; see the coordinator's log")
            raise
        await self._end(RunState.COMPLETED, "")
        return report

    async def _was_forgotten(self) -> bool:
        """Return whether the relay was restored from a backup that is older than this run."""
        try:
            return (await self._session.relay.relay()).since > self._record.began
        except (RelayError, RelayUnavailableError):
            return False

    async def _pause(self) -> None:
        self._session.records.move(self._run, RunState.PAUSED)
        await self._settle(RunState.PAUSED)

    async def _adopt_end(self) -> None:
        self._session.records.move(self._run, RunState.COMPLETED, told=True)
        self._leave(RunState.COMPLETED)

    # The work ------------------------------------------------------------------------------------------------------

    async def _work(self) -> RunOutcome:
        while True:
            try:
                return await self._session.disk.persist(self._attempt)
            except RelayUnavailableError as error:
                _log.warning("relay-away", detail=str(error))
            except RelayError as error:
                if error.type != "stale-lease":
                    raise
                _log.warning("lease-lost", detail=str(error))  # to another process, or because it expired
            await asyncio.sleep(AWAY_S)

    async def _attempt(self) -> RunOutcome:
        """Execute the run from the point recorded in the journal."""
        session, run = self._session, self._run
        await self._take_lease()
        checkpoints = None
        if session.settings.checkpoints:
            checkpoints = RunCheckpoints(run, session.journal, session.identity, session.relay)
            if await checkpoints.catch_up():
                session.metrics.taken_over()
        if session.records.is_copy(run):
            raise RestoredStateError(
                f"run {run} was restored from a backup, and the relay has no checkpoint of it; try: retry {run}"
            )
        with session.journal.transaction():
            ReceiptLog(session.journal.connection, run).begin(self._sealed.roster, self._sealed.project.terms)
        await self._enter_running()
        record = self._record = session.records.get(run)
        async with session.mailbox.subscription(run, record.position) as subscription:
            self._channel = RunChannel(run, session.journal, session.relay, subscription, checkpoints)
            self._channel.lease = self._lease
            return await self._analyses(record, self._channel)

    async def _analyses(self, record: RunRecord, channel: RunChannel) -> RunOutcome:
        session, settings = self._session, self._session.settings
        tables = RunTables(session.journal.connection, self._run)
        timeouts = Timeouts(settings.step_s, settings.grace_s, settings.officer_s, settings.epoch_s, record.deadline)
        participants = Participants(self._sealed.roster, self._sealed.names)
        driver = Driver(
            self._run,
            participants,
            session.identity,
            session.journal,
            channel,
            timeouts,
            self._show,
            recoverer(settings),
        )
        await driver.resume()
        secure_sum = RunSum(driver, tables, self._sealed, record, settings.rounds, self._check_pause)
        results = tuple([await self._result(task, secure_sum) for task in record.specs])
        answers = tuple((BoundQuery.decode(query), answer) for query, answer in tables.answers())
        return RunOutcome(results, answers, dict(driver.bytes_heard))

    async def _result(self, task: TableSpec, secure_sum: RunSum) -> AnalysisResult | HeldBySites:
        try:
            result = await result_of(task, secure_sum, len(self._record.sites))
        except (RunPausedError, RelayUnavailableError, RelayError):
            raise
        except SecaggError:
            self._session.metrics.failed(task.analysis)
            raise
        self._session.metrics.finished(task.analysis, result)
        return result

    def _check_pause(self) -> None:
        if self._session.records.requested(self._run) == "pause":
            raise RunPausedError(f"run {self._run} is paused; continue it with: resume {self._run}")

    # At the relay --------------------------------------------------------------------------------------------------

    async def _take_lease(self) -> None:
        """Create the run at the relay if necessary, and acquire its lease."""
        session, record = self._session, self._record
        name = ", ".join(dict.fromkeys(record.analyses))[:100]
        found = await session.relay.create_run(record.project, self._run, name, record.task, deadline=record.deadline)
        if found.state in FINAL_RUN:
            raise RunEndedError(self._run, found.state, found.reason)
        if found.roster_version != self._sealed.roster_version:
            raise SpecError(f"the project's roster has changed since the run began; rerun it with: retry {self._run}")
        self._lease = (await self._leased()).token

    async def _enter_running(self) -> None:
        """Move the run to `running` at the relay, from whatever state a process left it in."""
        steps = {
            RunState.CREATED: RunState.PREPARING,
            RunState.PREPARING: RunState.RUNNING,
            RunState.PAUSED: RunState.RUNNING,
        }
        found = await self._session.relay.run(self._run)
        while (following := steps.get(found.state)) is not None:
            found = await self._session.relay.change_run(self._run, found.state, following, lease=self._lease)
        if found.state in FINAL_RUN:
            raise RunEndedError(self._run, found.state, found.reason)
        self._session.records.move(self._run, found.state, told=True)

    # The watch -----------------------------------------------------------------------------------------------------

    async def _under_watch(self, work: Awaitable[T]) -> T:
        """Await the work; if the watch raises an error, stop the work and raise it."""
        working = asyncio.ensure_future(work)
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            watching.result()
            raise AssertionError("the watch ends by raising")
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def _watch(self) -> None:
        every_s = self._session.settings.lease_s / 3
        looked = time.monotonic()
        while True:
            if self._clock.now() >= self._record.deadline:
                raise RunOverdueError(f"the deadline of run {self._run} has passed")
            if self._requested() == "cancel":
                raise RunCancelledError(f"run {self._run} was cancelled")
            if self._lease is not None and time.monotonic() >= looked + every_s:
                looked = time.monotonic()
                with suppress(RelayUnavailableError, TimeoutError):
                    async with asyncio.timeout(ASK_S):
                        await self._look(self._lease)
            await asyncio.sleep(LOOK_S)

    def _requested(self) -> RequestedAction:
        try:
            with self._session.disk.watched():
                return self._session.records.requested(self._run)
        except DiskError:
            return ""  # the work waits for the disk

    async def _look(self, held: int) -> None:
        """Renew the lease, and check whether the relay has ended the run."""
        taken = await self._leased()
        if taken.token > held + 1:  # it expired while the relay was unreachable, and another process has had it since
            raise TakenOverError(f"another process of this coordinator has taken over run {self._run}")
        self._lease = taken.token
        if self._channel is not None:
            self._channel.lease = taken.token
        found = await self._session.relay.run(self._run)
        if found.state in FINAL_RUN:
            raise RunEndedError(self._run, found.state, found.reason)

    async def _leased(self) -> RunLease:
        """Acquire or renew the lease; raises TakenOverError if another process holds it."""
        session = self._session
        try:
            return await session.relay.lease_run(self._run, session.holder, session.settings.lease_s)
        except RelayError as error:
            if error.type != "stale-lease":
                raise
            raise TakenOverError(f"another process of this coordinator executes run {self._run}") from None

    # The end -------------------------------------------------------------------------------------------------------

    async def _end(self, state: RunState, reason: str) -> None:
        """Enter a final state, tell the relay, and delete what only an open run needs; a full disk delays the end."""
        await self._session.disk.persist(lambda: self._end_now(state, reason))

    async def _end_now(self, state: RunState, reason: str) -> None:
        self._session.records.move(self._run, state, reason)
        self._leave(state)
        told = await self._settle(state)
        await self._conclude(state, reason, send=told)

    def _leave(self, state: RunState) -> None:
        forget_run(self._session, self._run)
        self._session.metrics.left(self._run, state)
        _log.info("run-ended", state=state.value)

    async def _conclude(self, state: RunState, reason: str, *, send: bool) -> None:
        """Close the receipt and send it; the lease has been released, since parcels need none.

        If the relay was unreachable when the run ended, sending is not attempted: it would delay the end too long.
        """
        session, receipt = self._session, ReceiptLog(self._session.journal.connection, self._run)
        if not receipt.entries():  # nobody was asked for anything
            return
        outcome = f"{state.value}: {reason}" if reason else state.value
        within_s = SETTLE_S if send else 0.0
        await conclude(receipt, outcome, self._run, session.identity, session.relay, within_s=within_s)

    async def _settle(self, state: RunState) -> bool:
        """Tell the relay and release the lease; returns whether the relay answered."""
        if self._lease is None:  # the relay does not know the run, or another process has it
            telling = asyncio.wait_for(tell_end(self._session, self._run, None), ASK_S)
        else:
            telling = asyncio.wait_for(self._give_back(self._lease), SETTLE_S + ASK_S)
        try:
            await telling
        except RelayError as refusal:
            _log.warning("relay-not-told", state=state.value, detail=str(refusal))
        except (RelayUnavailableError, TimeoutError) as error:
            _log.warning("relay-not-told", state=state.value, detail=str(error))
            return False
        return True

    async def _give_back(self, lease: int) -> None:
        await asyncio.wait_for(tell_end(self._session, self._run, lease), SETTLE_S)
        await self._session.relay.lease_run(self._run, self._session.holder, 0)


async def tell_end(session: Session, run: UUID, lease: int | None) -> None:
    """Tell the relay the state of a run that no process executes any more; a final state there is kept."""
    record = session.records.get(run)
    try:
        found = await session.relay.run(run)
    except RelayError as error:
        if error.type != "not-found":
            raise
        session.records.tell(run)  # the relay does not know the run
        return
    if found.state not in FINAL_RUN and found.state is not record.state:
        await session.relay.change_run(run, found.state, record.state, record.reason, lease=lease)
    session.records.tell(run)


def forget_run(session: Session, run: UUID) -> None:
    """Delete a finished run's state machine, its keys, and any unsent frames."""
    tables = RunTables(session.journal.connection, run)
    with session.journal.transaction() as batch:
        batch.drop(str(run))
        batch.retract(run)
        tables.forget_packages()
        tables.close_round()
        SiteStandings(batch.connection, run).end()


async def stop(session: Session, run: UUID, action: RequestedAction) -> None:
    """Ask the process that executes a run to pause or cancel it; if there is none, do it here.

    Raises:
        RunEndedError: the run is over.
        TakenOverError: a process on another machine executes it; the command must be given there.
    """
    record = session.records.get(run)
    if record.is_over:
        raise RunEndedError(run, record.state, record.reason)
    session.records.request(run, action)
    try:
        with session.journal.hold(str(run)):
            await _stop(session, run, RunState.PAUSED if action == "pause" else RunState.CANCELLED)
    except JournalError:  # a process is executing it, and will see the request
        return


async def _stop(session: Session, run: UUID, state: RunState) -> None:
    try:
        lease = (await session.relay.lease_run(run, session.holder, session.settings.lease_s)).token
    except RelayError as error:
        if error.type == "stale-lease":
            raise TakenOverError(f"a process on another machine executes run {run}; give this command there") from None
        if error.type != "not-found":
            raise
        lease = 0
    if state is RunState.CANCELLED:
        forget_run(session, run)
    session.records.move(run, state, told=not lease)
    if lease:
        await tell_end(session, run, lease)
        await session.relay.lease_run(run, session.holder, 0)


async def sweep(session: Session) -> None:
    """Settle runs that no process here executes: adopt final states from the relay, end overdue runs, inform it."""
    overdue = 0
    for record in session.records.all():
        if record.is_over and record.told:
            continue
        try:
            with session.journal.hold(str(record.run)):
                async with asyncio.timeout(ASK_S):  # wait_for of Python 3.11 may swallow a cancellation
                    await _sweep(session, record)
        except (SecaggError, TimeoutError) as error:  # another process executes it, or the relay is unreachable
            _log.debug("run-not-swept", run=record.run, detail=str(error))
        overdue += not session.records.get(record.run).is_over and time.time() >= record.deadline + LATE_S
    session.metrics.overdue(overdue)


async def _sweep(session: Session, record: RunRecord) -> None:
    run = record.run
    if not record.is_over and time.time() >= record.deadline:
        session.records.move(run, RunState.FAILED, DEADLINE)
        forget_run(session, run)
    elif not record.is_over and record.told:
        found = await session.relay.run(run)
        if found.state in FINAL_RUN:
            session.records.move(run, found.state, found.reason, told=True)
            forget_run(session, run)
    if session.records.get(run).is_over:
        await tell_end(session, run, None)


def check_single(tasks: tuple[TableSpec, ...]) -> None:
    """Raise SpecError for an analysis of several sums, each of which depends on the one before."""
    if beyond := sorted({task.analysis for task in tasks if not task.single_sum}):
        raise SpecError(
            f"the sites of this project keep its sums, but {', '.join(beyond)} needs each sum for the next query: use "
            'a project whose terms say publish = true or mode = "masks"'
        )
