"""The daemon reads mail, advances each epoch's state machine, computes and sends. It only makes outbound connections.

Each step fetches, advances, commits state and outbox, then sends. After a crash, whatever was committed is sent again
as the same bytes; whatever was not committed never happened.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from participant.daemon.computation import Computation
from participant.daemon.epoch import RunContext, SiteRun, machine_name
from participant.daemon.notices import OfficerNotices, channels_of
from participant.daemon.plan_control import PlanControl
from participant.daemon.publication import release_of
from participant.daemon.release_control import ReleaseControl
from participant.daemon.reporter import Reporter, for_the_wire
from participant.data.model.errors import DatasetError
from participant.data.store.store import DatasetStore
from participant.policy.differencing import AnsweredRows
from participant.policy.rules import Policy, RefusedError
from participant.projects.invitations import Invitations
from participant.records import receipts, run_logs
from participant.records.decisions import Decisions, Waiting
from participant.records.ledger import Ledger
from participant.records.standing import StandingApprovals
from participant.settings.config import ParticipantConfig
from participant.statistics.evaluation.bound import BoundQuery
from relay.api.states import FINAL_RUN
from relay.client.outbox import deliver
from relay.client.transport import Message, PayloadRef, RelayClient, RelayError, RelayUnavailableError
from relay.party.disk import Disk, DiskError
from relay.party.journal import Journal, RestoredStateError
from relay.service.crashpoints import crashpoint
from relay.service.logs import bind, logger
from secagg import envelope
from secagg.codec import Record
from secagg.errors import ParameterError, ProtocolError
from secagg.identity import Identity
from secagg.messages import Manifest
from secagg.protocol.participant_round import AwaitConfirmation, AwaitRelease, AwaitVector, Closed
from secagg.protocol.step import Confirm, Contribute, DeclineRound, Tick, Withhold
from secagg.protocol.table import payload_bytes

log = logger(__name__)

_STEPS: Mapping[type, str] = {AwaitVector: "upload", AwaitConfirmation: "confirm", AwaitRelease: "release"}
TICK_S = 1.0
RESERVE_S = 30.0  # between attempts to make the reserve again
EXPIRY_S = 3600.0  # between checks for expired run logs
_GONE = "gone"  # the relay no longer knows the run
_ENDED = {*(state.value for state in FINAL_RUN), _GONE}
PAUSE_S = 2.0  # after failing to reach the relay; the transport has already retried several times by then


class Daemon:
    """A participant's main loop."""

    def __init__(
        self,
        config: ParticipantConfig,
        identity: Identity,
        journal: Journal,
        relay: RelayClient,
        policy: Policy,
        computation: Computation,
    ) -> None:
        self._config = config
        self._identity = identity
        self._journal = journal
        self._ledger = Ledger(journal.connection)
        self._relay = relay
        self._policy = policy
        self._records = AnsweredRows(journal.connection)
        self._decisions = Decisions(journal.connection)
        self._plans = PlanControl(self._ledger)
        self._release_control = ReleaseControl(
            policy, self._ledger, self._records, self._decisions, StandingApprovals(journal.connection)
        )
        self._store = DatasetStore(config.datasets)
        self._answers = Invitations(relay, self._store, policy)
        self._reports = Reporter(relay)
        self._notices = OfficerNotices(channels_of(config))
        self._runs: dict[str, SiteRun] = {}
        self._over: dict[UUID, str] = {}  # runs that have ended at the relay
        self._working = asyncio.Lock()
        self._computation = computation
        self._answering = asyncio.Lock()  # until an answer is recorded: the next one must keep its distance from it
        self._contributions: dict[str, tuple[AwaitVector, asyncio.Task[None]]] = {}
        self._disk = Disk(journal, config.data, config.disk_reserve_bytes)
        self.registry = CollectorRegistry()
        self._rounds = Counter(
            "secagg_participant_rounds_total", "Rounds, by what this site did", ["did"], registry=self.registry
        )
        self._refused = Counter(
            "secagg_participant_refused_frames_total", "Refused frames, by check", ["check"], registry=self.registry
        )
        self._seconds = Histogram(
            "secagg_participant_round_seconds", "Time from a round's opening to this site's reply", ["step"],
            registry=self.registry,
        )  # fmt: skip
        self._burnt = Counter(
            "secagg_participant_burnt_epochs_total",
            "Epochs abandoned because their state came from a copy",
            registry=self.registry,
        )
        self._refusals = Counter(
            "secagg_participant_refusals_total", "Refusals, by policy rule", ["rule"], registry=self.registry
        )
        self._success = Gauge(
            "secagg_participant_last_success_timestamp_seconds",
            "Time of the last contribution to a round",
            registry=self.registry,
        )

        Gauge(
            "secagg_participant_disk_trouble",
            "1 while the disk takes no writes or the reserve is in use, else 0",
            registry=self.registry,
        ).set_function(lambda: float(self._disk.state is not None))

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set."""
        stopping = asyncio.create_task(stop.wait())
        working = asyncio.create_task(self._work())
        try:
            await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (stopping, working):
                task.cancel()
            await asyncio.gather(stopping, working, return_exceptions=True)

    async def _work(self) -> None:
        """Work from what the journal holds. A disk that takes no writes interrupts the work as a restart would."""
        while True:
            try:
                with self._disk.watched():
                    self._load()
                    self._disk.fill()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._forever(self._read_mail))
                    tasks.create_task(self._forever(self._invitations, pause_s=self._config.invitations_s))
                    tasks.create_task(self._forever(self._receipts, pause_s=self._config.invitations_s))
                    tasks.create_task(self._forever(self._tick, pause_s=TICK_S))
                    tasks.create_task(self._forever(self._report, pause_s=TICK_S))
                    tasks.create_task(self._forever(self._notify, pause_s=TICK_S))
                    tasks.create_task(self._forever(self._expire_logs, pause_s=EXPIRY_S))
                    tasks.create_task(self._forever(self._fill_reserve, pause_s=RESERVE_S))
            except* DiskError:
                pass
            finally:
                await self._drop_machines()
            await self._disk.outlast()

    async def _drop_machines(self) -> None:
        """Stop all computations, and forget the machines: the journal has their states."""
        computing = [task for _, task in self._contributions.values()]
        self._contributions.clear()
        self._runs.clear()
        for task in computing:
            task.cancel()
        await asyncio.gather(*computing, return_exceptions=True)

    async def readiness(self) -> str | None:
        """Return None while the relay answers and the disk has room, else the reason why not."""
        line = self._relay.connection
        return self._disk.state or line.trouble or (None if line.answered_at else "the relay has not answered yet")

    @asynccontextmanager
    async def _machines(self) -> AsyncIterator[None]:
        """Keep other tasks from the machines. After trouble with the disk, those in memory must not be used."""
        async with self._working:
            with self._disk.watched():
                yield

    async def _forever(self, work: Callable[[], Awaitable[None]], *, pause_s: float = 0.0) -> None:
        while True:
            await self._once(work)
            await asyncio.sleep(pause_s)

    async def _once(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            with self._disk.watched():
                await work()
        except RestoredStateError as error:
            with self._disk.watched():
                for name in self._journal.machines():
                    if name.startswith(f"{error.run}."):
                        self._burn(name, str(error))
                        self._runs.pop(name, None)
        except (RelayUnavailableError, RelayError) as error:
            log.warning("relay-trouble", detail=str(error))
            await asyncio.sleep(PAUSE_S)

    def _load(self) -> None:
        """Resume the epochs in the journal. An epoch whose state was restored from a copy is abandoned."""
        for name in self._journal.machines():
            run = UUID(name.partition(".")[0])
            project = self._ledger.project_of(run)
            try:
                found = project and SiteRun.stored(run, project, name, self._journal, self._identity)
            except RestoredStateError as error:
                self._burn(name, str(error))
                continue
            if found:
                self._runs[name] = found
            else:
                self._burn(name, "its project is no longer confirmed")

    async def _void_old_mail(self) -> None:
        """After a restore, end every run with mail at the relay; it began before the restore and is over here."""
        while messages := await self._relay.messages(self._journal.position):
            with self._journal.transaction() as batch:
                for message in messages:
                    self._ledger.void(message.run, message.project)
                batch.read_to(messages[-1].id)
            log.warning("mail-voided", reason="the mail was sent before this site was restored", messages=len(messages))
        with self._journal.transaction():
            self._ledger.settle_restore()

    def _burn(self, name: str, reason: str) -> None:
        """Abandon an epoch for good; the other sites go on without this one."""
        log.error("epoch-burnt", machine=name, reason=reason)
        self._burnt.inc()
        with self._journal.transaction() as batch:
            batch.drop(name)
            self._decisions.settle(UUID(name.partition(".")[0]))

    async def _read_mail(self) -> None:
        """Send what is still in the outbox, then wait for messages and handle each. A paused site does nothing."""
        if self._decisions.is_paused():
            await asyncio.sleep(TICK_S)
            return
        if self._ledger.is_restored():
            await self._void_old_mail()
        async with self._machines():
            await deliver(self._journal, self._relay)
            for site_run in list(self._runs.values()):
                await self._act(site_run)
        over = dict(self._over)
        # Where runs follow each other, mail never pauses: ended runs must not wait for a quiet moment.
        wait_s = 0.0 if over else self._config.poll_s
        messages = await self._relay.messages(self._journal.position, wait_s)
        async with self._machines():
            if not messages:  # all mail sent before these runs ended has been read
                self._end(over)
            for message in messages:
                if self._decisions.is_paused():
                    return
                with bind(run=str(message.run), message=str(message.id)):
                    await self._take(message)

    async def _take(self, message: Message) -> None:
        """Handle one message: advance its machine or refuse it. Either way it counts as read."""
        data = await self._relay.frame(message.id) if message.frame is None else message.frame
        try:
            site_run = self._machine(message, data)
            payload = None if message.payload is None else await self._payload(message.payload, site_run.state)
            site_run.receive(data, payload, message.id, self._policy)
        except (ProtocolError, RefusedError) as refusal:
            check = "policy"
            if isinstance(refusal, ProtocolError):
                check = refusal.check
            else:
                self._count_refusal(refusal)
            self._refused.labels(check).inc()
            log.warning("frame-refused", check=check, detail=str(refusal), error=type(refusal).__name__)
            with self._journal.transaction() as batch:
                batch.read_to(message.id)
            if isinstance(refusal, RefusedError) and refusal.rules:  # the protocol has no frame to tell the coordinator
                self._reports.refuse(message.run, 0, str(refusal))
            return
        kept = set(self._journal.machines())
        self._runs = {n: one for n, one in {**self._runs, site_run.name: site_run}.items() if n in kept}
        await deliver(self._journal, self._relay)
        await self._act(site_run)

    async def _report(self) -> None:
        """Tell the coordinators what waits or was refused. A paused site sends nothing."""
        if not self._decisions.is_paused():
            await self._reports.send(self._decisions.waiting())

    async def _notify(self) -> None:
        """Tell the officers what waits for them."""
        await self._notices.send(self._decisions.waiting(), time.time())

    async def _payload(self, reference: PayloadRef, state: Record) -> bytes:
        """Return a payload; the frame that it came with binds it by a hash of its own.

        Raises:
            RefusedError: its stated or actual length exceeds what the site expects.
        """
        taken, most_bytes = bytearray(), payload_bytes(state)
        if reference.size <= most_bytes:
            async for part in self._relay.download(reference.id):
                taken += part
                if len(taken) > most_bytes:
                    break
            else:
                return bytes(taken)
        raise RefusedError(f"the payload is longer than the {most_bytes} bytes that this site waits for")

    def _machine(self, message: Message, data: bytes) -> SiteRun:
        """Return the machine that a frame is for. A manifest creates a new one if an officer agreed to its version.

        Raises:
            DecodeError: the bytes are not a frame, or not a manifest.
            RefusedError: this site is not part of the epoch, or nobody agreed to this version of the project.
        """
        frame = envelope.parse(data)
        name = machine_name(message.run, frame.epoch)
        if (known := self._runs.get(name)) is not None:
            return known
        if frame.kind != Manifest.KIND:
            raise RefusedError("the frame belongs to an epoch that this site is not part of")
        confirmed = self._ledger.version_of(message.project, Manifest.decode(frame.body).roster)
        if confirmed is None:
            raise RefusedError(
                "no officer of this site has agreed to this roster of the project, or to this version of its plan",
                "agree",
            )
        context = RunContext.of(message.run, message.project, confirmed)
        self._computation.warm()  # while the epoch is set up
        return SiteRun.invited(context, frame, confirmed, self._policy, self._journal, self._identity)

    async def _act(self, site_run: SiteRun) -> None:
        """Take the action that the machine expects of this site, and send the outcome."""
        self._reap()
        with bind(run=str(site_run.context.run)):
            state, began = site_run.state, time.monotonic()
            if isinstance(state, AwaitVector):
                if site_run.name not in self._contributions:
                    task = asyncio.create_task(self._once(lambda: self._contribute(site_run, state, began)))
                    self._contributions[site_run.name] = (state, task)
            elif isinstance(state, AwaitConfirmation):
                self._confirm(site_run, state)
                await self._sent(site_run, state, state.current.round, began)
            elif isinstance(state, AwaitRelease):
                crashpoint(f"round-{state.current.round}-learned")
                site_run.tell(release_of(site_run.context.run, state, self._ledger))
                await self._sent(site_run, state, state.current.round, began)

    def _reap(self) -> None:
        """Forget contributions that are over, and stop those that nobody waits for any more.

        Raises whatever a contribution did not expect: it ends the daemon as an error anywhere else does.
        """
        for name, (state, task) in list(self._contributions.items()):
            if task.done():
                del self._contributions[name]
                task.result()
            elif name not in self._runs or self._runs[name].state is not state:
                del self._contributions[name]
                task.cancel()

    async def _sent(self, site_run: SiteRun, before: Record, round_: int, began: float) -> None:
        """Send the outcome of an action, unless an officer or the schedule has to allow it first."""
        if site_run.state is before:
            return
        await deliver(self._journal, self._relay)
        step = _STEPS[type(before)]
        self._seconds.labels(step).observe(time.monotonic() - began)
        crashpoint(f"round-{round_}-{step}ed")

    async def _contribute(self, site_run: SiteRun, state: AwaitVector, began: float) -> None:
        """Contribute the requested vector, wait until that is allowed, or decline with a disclosable reason.

        Mail is read meanwhile. Answers are computed one at a time.
        """
        async with self._answering:
            crashpoint(f"round-{state.current.round}-opened")
            await self._answer(site_run, state)
        async with self._machines():
            await self._sent(site_run, state, state.current.round, began)

    async def _answer(self, site_run: SiteRun, state: AwaitVector) -> None:
        round_ = state.current.round
        try:
            bound = BoundQuery.decode(state.open.query)
            query, task = bound.query, await self._plans.task(bound, site_run.context)
            if not self._awaits(site_run, state):
                return
            waiting = self._release_control.query(bound, site_run.context, state, time.time(), task)
            if waiting is not None:
                self._wait(waiting)
                return
            log.info("round-opened", round=round_, sites=len(state.current.roster))
            if bound.segments != state.open.schema.segments:
                raise RefusedError("the round's schema does not match its query")
            earlier, key = self._records.row_sets(query.dataset), self._records.key()
            version = self._plans.version(site_run.context)
            made = await self._computation.answer(bound, self._config.datasets, earlier, key, version)
            self._release_control.answer(made)
            if not self._awaits(site_run, state):
                return
            site_run.tell(Contribute(made.vector), answer=made, task=task)
        except (ParameterError, DatasetError) as refusal:
            log.warning("round-declined", round=round_, detail=str(refusal))
            self._count_refusal(refusal)
            self._rounds.labels("declined").inc()
            if self._awaits(site_run, state):
                site_run.tell(DeclineRound(for_the_wire(str(refusal))))
            return
        log.info("round-contributed", round=round_, statistic=query.statistic, numbers=state.current.schema.length)
        self._rounds.labels("contributed").inc()
        self._success.set_to_current_time()

    def _awaits(self, site_run: SiteRun, state: AwaitVector) -> bool:
        """Return whether a run still waits for the vector that was computed meanwhile, and this site may send it."""
        is_current = self._runs.get(site_run.name) is site_run and site_run.state is state
        return is_current and not self._decisions.is_paused() and self._disk.trouble is None

    def _confirm(self, site_run: SiteRun, state: AwaitConfirmation) -> None:
        """Sign the set of survivors, wait for an officer where the rules require one, or withhold."""
        lost = len(set(state.idle.survivors) - set(state.survivors))
        try:
            allowed = self._release_control.survivors(site_run.context, state)
        except RefusedError as refusal:
            log.warning("survivors-not-signed", round=state.current.round, lost=lost, detail=str(refusal))
            self._count_refusal(refusal)
            self._rounds.labels("withheld").inc()
            self._reports.refuse(site_run.context.run, state.current.round, str(refusal))
            site_run.tell(Withhold())
            return
        if isinstance(allowed, Waiting):
            self._wait(allowed)
            return
        log.info("survivors-signed", round=state.current.round, sites=len(state.survivors), lost=lost)
        site_run.tell(Confirm(publish=site_run.context.terms.publish), standing=allowed.standing)

    def _wait(self, waiting: Waiting) -> None:
        """Record that a run waits; each tick checks again until its deadline."""
        known = self._decisions.waiting_of(waiting.run)
        if known is not None and known.asks_the_same_as(waiting):
            return
        with self._journal.transaction():
            self._decisions.wait(waiting)
        log.warning("run-waits", round=waiting.round, rules=waiting.rules, detail=waiting.words)
        self._rounds.labels("waited").inc()

    def _count_refusal(self, refusal: ParameterError | DatasetError) -> None:
        for rule in getattr(refusal, "rules", ()):
            self._refusals.labels(rule).inc()

    async def _invitations(self) -> None:
        """Answer invitations and check which runs have ended."""
        if self._decisions.is_paused():
            return
        await self._answers.answer()
        for run in {one.context.run for one in self._runs.values()} - self._over.keys():
            if (state := await self._state_of(run)) in _ENDED:
                self._over[run] = state

    async def _state_of(self, run: UUID) -> str:
        try:
            return (await self._relay.run(run)).state.value
        except RelayError as error:
            if error.type == "not-found":
                return _GONE
            raise

    def _end(self, over: Mapping[UUID, str]) -> None:
        """Close the epochs of runs that ended at the relay; their last frames have been read."""
        for name, site_run in list(self._runs.items()):
            if (state := over.get(site_run.context.run)) is not None:
                log.info("run-ended", run=site_run.context.run, state=state)
                site_run.end(state)
                del self._runs[name]
        for run in over:
            self._over.pop(run, None)
            self._plans.forget(run)
            self._reports.forget(run)

    async def _receipts(self) -> None:
        if self._decisions.is_paused():
            return
        await receipts.fetch(self._relay, self._identity, self._journal)

    async def _fill_reserve(self) -> None:
        self._disk.fill()

    async def _expire_logs(self) -> None:
        run_logs.expire(self._config.data, now=time.time())

    async def _tick(self) -> None:
        """Pass the time to every machine; an epoch that is over is deleted from the journal with its secrets."""
        async with self._machines():
            self._reap()
            for site_run in self._runs.values():
                site_run.tell(Tick(int(time.time())))
            self._runs = {n: one for n, one in self._runs.items() if not isinstance(one.state, Closed)}
            if self._decisions.is_paused():
                return
            waiting = {one.run for one in self._decisions.waiting()}
            for site_run in list(self._runs.values()):
                if site_run.context.run in waiting:
                    await self._act(site_run)
