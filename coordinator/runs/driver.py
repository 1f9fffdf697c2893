"""Drives a run's coordinator state machine: sends, waits for sites, closes each step, adds and unmasks.

In a homomorphic epoch it adds ciphertexts that it cannot read, and the sites open the sum.

Every step follows the same order: fetch; step; commit state, packages and outbox; send. Only this module decides when a
step is closed: when all sites have answered, or enough have and the others' grace period is over, or time has run out.

The next action follows from the state alone, so a killed process can continue in the middle of a setup or round. Only
the total of the open round is not on disk: it is added up again from the uploads, which the relay still has.
"""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import numpy as np

from coordinator.journal.receipts import ReceiptLog
from coordinator.journal.standings import SAID, How, SiteStandings, in_words
from coordinator.journal.tables import AddedUpload, PendingRound, ReleasedSum, RunTables
from coordinator.runs.channel import RunChannel
from coordinator.runs.unmasking import ClusterError, Recover, here
from coordinator.session.progress import Event, Show, What
from relay.api.states import SiteState
from relay.client.transport import Message
from relay.party.journal import Journal, JournalBatch
from relay.service.crashpoints import crashpoint
from secagg import envelope
from secagg.codec import Record, tagged_hash
from secagg.envelope import EVERYONE, Frame
from secagg.errors import (
    AbortError,
    DeadlineError,
    FaultyParticipantError,
    NotEnoughParticipantsError,
    ProtocolError,
)
from secagg.identity import Identity, Roster
from secagg.messages import EncapsulationPackage, HeldLeaves, Manifest, SharePackage
from secagg.params import LossRule, Profile, Schema, default_colluders, default_threshold, least_survivors
from secagg.protocol import coordinator_round as cr
from secagg.protocol import coordinator_setup as cs
from secagg.protocol.encrypted_vector import EncryptedVector
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import Abandon, Add, Ask, Close, Keep, Learned, Publish, Send, Step, StepInputs
from secagg.protocol.table import decode_state, encode_state, receive, tell

S = TypeVar("S", bound=Record)

POLL_S = 1.0  # longest single wait for mail, so that grace periods and deadlines are noticed
LOOK_S = 1.0  # interval at which it reads what sites report that have not answered


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Waiting times in seconds.

    Attributes:
        step_s: for all sites in a step.
        grace_s: for the last ones once enough have answered.
        officer_s: for sites that report that their officer or their schedule must first allow a step.
        epoch_s: until an epoch's secrets are erased.
        run_ends: deadline of the run, seconds since 1970.
    """

    step_s: float
    grace_s: float
    officer_s: float
    epoch_s: int
    run_ends: float


@dataclass(frozen=True, slots=True)
class Participants:
    """The participants: the confirmed roster, and the sites' display names."""

    roster: Roster
    names: dict[bytes, str]


class Driver:
    """Drives one run.

    Attributes:
        bytes_heard: bytes of frames and payloads received, by site.
    """

    def __init__(
        self,
        run: UUID,
        participants: Participants,
        identity: Identity,
        journal: Journal,
        channel: RunChannel,
        timeouts: Timeouts,
        show: Show,
        recover: Recover = here,
    ) -> None:
        self._run = run
        self._participants = participants
        self._identity = identity
        self._journal = journal
        self._tables = RunTables(journal.connection, run)
        self._receipt = ReceiptLog(journal.connection, run)
        self._standings = SiteStandings(journal.connection, run)
        self._old_reports: dict[bytes, float | None] = {}  # time of each site's report about an earlier epoch
        self._channel = channel
        self._timeouts = timeouts
        self._show = show
        self._recover = recover
        self._began = time.monotonic()
        self._machine = str(run)
        self._state: Record | None = None
        self._total: Any = None  # total of the open round; not on disk
        self._answering: Collection[int] | None = None  # sites that signed the survivors; no others will answer
        self._excluded: set[int] = set()
        self.bytes_heard: dict[str, int] = dict.fromkeys(participants.names.values(), 0)

    async def resume(self) -> None:
        """Send what a crash left in the outbox, and load the machine from the journal."""
        await self._channel.deliver()
        if self._machine in self._journal.machines():
            self._state = decode_state(self._journal.state(self._machine))

    def _at(self, kind: type[S]) -> S:
        """Return the machine's state, which must be of this kind."""
        assert isinstance(self._state, kind)
        return self._state

    @property
    def left(self) -> tuple[bytes, ...] | None:
        """Keys of the sites that can still be asked in this run, or None before its first epoch."""
        if isinstance(self._state, cs.CoordinatorSetup):  # a setup that was interrupted
            return self._state.manifest.sites
        idle = self._state.idle if isinstance(self._state, cr.CoordinatorInRound) else self._state
        if not isinstance(idle, cr.Prepared):
            return None
        return tuple(idle.manifest.sites[site - 1] for site in idle.survivors)

    # Setup ---------------------------------------------------------------------------------------------------------

    async def prepare(self, sites: Collection[bytes], *, rounds: int, quorum: int = 0, **terms: Any) -> None:
        """Set up the next epoch with these sites, or finish a setup that a crash interrupted if that is still possible.

        Args:
            sites: verify keys of sites in the roster.
            rounds: number of rounds to prepare.
            quorum: minimum number of sites in a sum; raised to the smallest safe number if below it.
            terms: profile, loss_rule and suite, as in `secagg.protocol.coordinator_setup.Plan`.

        Raises:
            NotEnoughParticipantsError: too few sites answered in some step.
        """
        if not self._goes_on():
            if self._tables.last_epoch()[0]:
                self._old_reports = {one.key: one.updated for one in await self._channel.reports()}
            self._announce(sites, rounds, quorum, **terms)
        await self._channel.deliver()
        while isinstance(setup := self._state, cs.CoordinatorSetup):
            await self._wait(_AWAITED[type(setup)], _expected(setup), enough=setup.least_members)
            try:
                self._tell(Close())
            except NotEnoughParticipantsError as error:
                raise self._with_reasons(error) from error
            await self._channel.deliver()
        ready = self._at(cr.Prepared)
        self._say(
            "epoch-ready", detail=f"{len(ready.survivors)} sites agreed on keys for {ready.manifest.rounds} rounds"
        )

    def _goes_on(self) -> bool:
        """Return whether the sites are still waiting in the journal's setup, and this process may finish it."""
        if not isinstance(self._state, cs.CoordinatorSetup):
            return False
        manifest = self._state.manifest
        return time.time() < manifest.setup_deadline and manifest.epoch > self._tables.burnt

    def _announce(self, sites: Collection[bytes], rounds: int, quorum: int, **terms: Any) -> None:
        number, first = self._tables.last_epoch()
        now = int(time.time())
        safe = _safe(len(sites), len(self._participants.roster.sites), quorum, terms.get("profile", Profile.MALICIOUS))
        plan = cs.Plan(
            roster=self._participants.roster,
            sites=tuple(sites),
            run=self._run.bytes,
            epoch=number + 1,
            first_round=first,
            rounds=rounds,
            setup_deadline=now + int(6 * self._timeouts.step_s) + 60,
            expires=now + self._timeouts.epoch_s,
            slack=self._slack(terms.get("loss_rule")),
            threshold=safe.threshold,
            colluders=safe.colluders,
            survivors=safe.survivors,
            **terms,
        )
        step = cs.announce(plan, self._inputs())
        with self._commit(step):
            self._tables.forget_packages()
            self._tables.begin_epoch(number + 1, first + rounds)
            self._standings.begin(self._participants.names[key] for key in sites)

    def _slack(self, loss_rule: LossRule | None) -> int | None:
        """Return the next epoch's slack: after an earlier epoch it may lose no site, unless the rule is `continue`.

        An interrupted setup restarts with the slack it had.
        """
        if isinstance(self._state, cs.CoordinatorSetup):
            return self._state.manifest.slack
        return 0 if self._state is None or loss_rule is LossRule.CONTINUE else None

    # Rounds --------------------------------------------------------------------------------------------------------

    @property
    def rounds_left(self) -> int:
        """Number of rounds left in this epoch, including an open one; 0 once the epoch has expired."""
        idle = self._state.idle if isinstance(self._state, cr.CoordinatorInRound) else self._state
        if not isinstance(idle, cr.Prepared):
            return 0
        manifest = idle.manifest
        open_ = isinstance(self._state, cr.CoordinatorInRound)
        if time.time() >= manifest.expires or manifest.epoch <= self._tables.burnt:
            return int(open_)
        return manifest.first_round + manifest.rounds - idle.next_round + open_

    async def ask(self, query: bytes, schema: Schema, position: int, *, learn: bool = True) -> ReleasedSum:
        """Run one round and return the sum, which the journal keeps as the answer to the run's query `position`.

        If a crash left a round of this query open, it is finished. A dealer with wrong shares or a wrong vault is
        named, and the round is repeated without it. In a homomorphic epoch no site is named, and unless `learn` is
        true, the answer contains no sum: only the sites have it.

        Raises:
            NotEnoughParticipantsError: too few sites are left; the round is abandoned.
            DeadlineError: the sites have left the open round; it is abandoned.
        """
        while True:
            try:
                if not self._is_open_for(query, position):
                    self._give_up("the open round answers another query than the next one")
                    self._open(query, schema, position)
                return await self._finish(query, position, learn=learn)
            except FaultyParticipantError as error:
                self._say("refused", site=self._name(error.party or 0), detail=str(error))
                self._excluded.add(error.party or 0)
                self._give_up("a site dealt wrong shares or a wrong vault")
            except NotEnoughParticipantsError as error:
                named = self._with_reasons(error)
                self._give_up(str(named))
                raise named from error
            except AbortError as error:
                self._give_up(str(error))
                raise

    def _is_open_for(self, query: bytes, position: int) -> bool:
        pending = self._tables.pending() if isinstance(self._state, cr.CoordinatorInRound) else None
        if pending is None or (pending.query, pending.position) != (query, position):
            return False
        if time.time() >= pending.deadline:
            raise DeadlineError(
                "the sites have left the open round because no process continued this run in time; rerun it with: retry"
            )
        return True

    def _open(self, query: bytes, schema: Schema, position: int) -> None:
        idle = self._at(cr.Prepared)
        roster = tuple(site for site in idle.survivors if site not in self._excluded)
        steps_s = 4 * (self._timeouts.step_s + self._timeouts.grace_s)
        officers_s = 2 * self._timeouts.officer_s  # one decides about the question, and one about the survivors
        deadline = int(min(time.time() + steps_s + officers_s, self._timeouts.run_ends, idle.manifest.expires)) + 1
        self._total = _zeros(idle.manifest, schema)
        self._answering = None
        with self._commit(tell(idle, Ask(query, schema, deadline, roster), self._inputs())):
            self._tables.open_round(PendingRound(position, query, deadline, os.urandom(32)))
        detail = f"asked {len(roster)} sites for {schema.length} numbers"
        self._say("round-opened", round_=self._round, detail=detail)

    async def _finish(self, query: bytes, position: int, *, learn: bool) -> ReleasedSum:
        """Finish the open round from whatever state it is in."""
        opened = self._at(cr.CoordinatorInRound)
        number, roster = opened.current.round, opened.current.roster
        await self._channel.deliver()
        if self._total is None:
            await self._add_again()
        while isinstance(self._state, cr.CoordinatorInRound):
            await self._advance(learn=learn)
        self._total = None
        answer = self._tables.answer(position, query)
        assert answer is not None  # entered just now
        self._standings.settle(answer.survivors)
        lost = len(roster) - len(answer.survivors)
        detail = f"sum over {len(answer.survivors)} sites" + (f", {lost} lost on the way" if lost else "")
        self._say("round-done", round_=number, detail=detail if learn else f"{detail}; the sites hold it")
        return answer

    async def _advance(self, *, learn: bool) -> None:
        """Advance the open round by one step: wait for the sites that are to answer, and close the step."""
        state = self._state
        if isinstance(state, cr.AwaitUploads):
            await self._wait("Upload", state.current.roster, enough=state.idle.manifest.survivors)
            self._tell(Close())
        elif isinstance(state, cr.AwaitSignatures):
            await self._wait("Consistency", state.survivors, enough=state.idle.manifest.threshold)
            self._answering = self._heard()
            self._tell(Close())
        elif isinstance(state, cr.AwaitAnswers):
            await self._wait("Unmask", self._answering or state.survivors, enough=state.idle.manifest.threshold)
            crashpoint("before-unmask")
            self._tell(Close())
        elif isinstance(state, cr.AwaitTotal):
            await self._unmask(state)
            self._tell(Publish(self._total))
        elif isinstance(state, cr.AwaitSealedShares):
            await self._wait("SealedShares", self._answering or state.survivors, enough=state.idle.manifest.threshold)
            crashpoint("before-opening")
            self._pass_on(learn=learn)
        elif isinstance(state, cr.AwaitOpened):
            if learn:
                await self._hear_sums(state)
            self._tell(Close())
        await self._channel.deliver()

    def _pass_on(self, *, learn: bool) -> None:
        """Send the encrypted sum to its sites with the shares that open it; raises NotEnoughParticipantsError."""
        state = self._at(cr.AwaitSealedShares)  # with all shares that have arrived by now
        with self._commit(tell(state, Publish(self._total), self._inputs("Publish"))):
            pending = self._tables.pending()
            if not learn and pending is not None:
                held = ReleasedSum(
                    state.current.round, state.current.schema.ring_bits, self._names(state.survivors), None
                )
                self._tables.enter(pending.position, pending.query, held)

    async def _hear_sums(self, state: cr.AwaitOpened) -> None:
        """Wait for opened sums from enough sites that the honest ones outnumber those that may lie.

        Raises:
            NotEnoughParticipantsError: too few sites published the same sum.
        """
        colluders = state.idle.manifest.colluders
        await self._wait("Opened", state.survivors, enough=2 * colluders + 1)
        pending = self._tables.pending()
        if pending is None or self._tables.answer(pending.position, pending.query) is None:
            raise NotEnoughParticipantsError(
                f"{len(self._heard())} sites published a sum, but no {colluders + 1} of them the same one; "
                "the logs of the other sites say why they published none"
            )

    async def _unmask(self, state: cr.AwaitTotal) -> None:
        try:
            await self._recover(self._total, state.masks)
        except ClusterError as error:
            self._say("cluster-failed", detail=f"{error}; this machine removes the masks instead")
            await here(self._total, state.masks)

    async def _add_again(self) -> None:
        """Recompute the total that a crash lost: the relay has the uploads, and the journal lists them."""
        state = self._at(cr.CoordinatorInRound)
        self._total = _zeros(state.idle.manifest, state.current.schema)
        if isinstance(state, cr.AwaitOpened):  # the encrypted sum has been sent
            return
        for upload in self._tables.uploads():
            payload = await self._channel.payload(upload.payload)
            self._total.add(cr.open_upload(state, Frame.decode(upload.frame), payload))

    def _give_up(self, reason: str) -> None:
        if isinstance(self._state, cr.CoordinatorInRound):
            number = self._state.current.round
            self._tell(Abandon())
            self._total = None
            self._say("round-abandoned", round_=number, detail=reason)

    # Waiting -------------------------------------------------------------------------------------------------------

    async def _wait(self, step: str, expected: Collection[int], *, enough: int) -> None:
        """Read mail until all expected sites answered, or enough did and the grace period is over, or time is up.

        A site that reports that it waits for its officer is given `officer_s`, unless its answer is not needed; one
        that reports a refusal is not waited for, and nobody is once too few are left.
        """
        self._say(
            "step", step=step, round_=self._round, detail=f"waiting for {len(expected)} sites", sites=len(expected)
        )
        began = looked = time.monotonic()
        heard = self._heard()
        enough_since = began if len(heard) >= enough else None
        reported = _Reported(frozenset(), frozenset())
        while missing := (silent := set(expected) - heard) - reported.refused:
            now = time.monotonic()
            ends = began + self._timeouts.step_s
            if enough_since is not None:
                ends = min(ends, enough_since + self._timeouts.grace_s)
            if reported.waiting & missing and (enough_since is None or step in _LOSES):
                ends = max(ends, began + self._timeouts.officer_s)
            if now >= ends:
                for site in sorted(missing):
                    self._miss(site, step, waited=site in reported.waiting)
                return
            if len(set(expected) - reported.refused) < enough:
                return
            if now >= looked + LOOK_S:
                looked, reported = now, await self._look(silent, began + self._timeouts.officer_s - now)
            message = await self._channel.next(min(POLL_S, ends - now))
            if message is not None:
                await self._take(message, step)
            heard = self._heard()
            if enough_since is None and len(heard) >= enough:
                enough_since = time.monotonic()

    async def _look(self, silent: Collection[int], left_s: float) -> "_Reported":
        """Note what sites that have not answered report about this step.

        Args:
            silent: the sites.
            left_s: seconds for which they are still waited for.
        """
        sites = self._manifest_sites(self._state)
        pending = self._tables.pending()
        until = min(time.time() + left_s, pending.deadline if pending and self._round else self._timeouts.run_ends)
        reports = {one.key: one for one in await self._channel.reports()}
        found: dict[SiteState, set[int]] = {SiteState.WAITING: set(), SiteState.REFUSED: set()}
        for site in sorted(silent):
            report = reports.get(sites[site - 1])
            if report is None or not report.reason or report.round != self._round or report.state not in found:
                continue
            if report.updated == self._old_reports.get(report.key):
                continue
            found[report.state].add(site)
            how: How = "waiting" if report.state is SiteState.WAITING else "refused"
            self._stands(site, how, report.reason, until=until if how == "waiting" else None)
        return _Reported(frozenset(found[SiteState.WAITING]), frozenset(found[SiteState.REFUSED]))

    def _miss(self, site: int, step: str, *, waited: bool) -> None:
        """Note that a site did not answer in time; one that waited for a decision is not said to be lost."""
        if waited:
            [reason] = [one.reason for one in self._standings.all() if one.site == self._name(site)]
            self._stands(site, "undecided", reason)
        else:
            self._stands(site, "lost", f"sent no {step} in time")

    def _stands(self, site: int, how: How, reason: str = "", *, until: float | None = None) -> None:
        """Enter how a site stands in the run, and show it if it is new."""
        name = self._name(site)
        if self._standings.note(name, how, round_=self._round, reason=reason, until=until):
            self._say(_SHOWN[how], round_=self._round, site=name, detail=f"{SAID[how]}{reason}")

    def _with_reasons(self, error: NotEnoughParticipantsError) -> NotEnoughParticipantsError:
        """Return the error with the sites that did not contribute, each with its reason."""
        reasons = in_words(self._standings.all())
        return NotEnoughParticipantsError(f"{error}; {reasons}") if reasons else error

    def _heard(self) -> set[int]:
        """Return the sites that have answered in the current step, including those that declined."""
        state = self._state
        if isinstance(state, cs.CoordinatorSetup):
            return set(state.frames)
        if isinstance(state, cr.AwaitUploads):
            return set(state.uploads) | set(state.declined)
        if isinstance(state, cr.AwaitSignatures):
            return set(state.signatures)
        if isinstance(state, cr.AwaitSealedShares):
            return set(state.frames)
        if isinstance(state, cr.AwaitOpened):
            return set(state.roots)
        return set(state.answers) if isinstance(state, cr.AwaitAnswers) else set()

    async def _take(self, message: Message, step: str) -> None:
        """Process one message: a step of the machine, or a refusal that names the site. Both count as read."""
        data = await self._channel.frame(message)
        payload = None if message.payload is None else await self._channel.payload(message.payload.id)
        name = self._participants.names.get(message.sender, "a stranger")
        try:
            done = receive(self._at(Record), data, self._inputs(), payload)
        except ProtocolError as refusal:
            self._say("refused", step=step, round_=self._round, site=name, detail=str(refusal))
            with self._journal.transaction() as batch:
                batch.read_to(message.id)
                self._tables.read_to(message.id)
            return
        with self._commit(done) as batch:
            batch.read_to(message.id)
            self._tables.read_to(message.id)
            for effect in done.effects:
                if isinstance(effect, Add) and message.payload is not None:
                    self._tables.added(AddedUpload(effect.site, data, message.payload.id))
        for effect in done.effects:
            if isinstance(effect, Add):
                self._total.add(effect.vector)
        frame = envelope.parse(data)
        if isinstance(self._state, cr.AwaitUploads) and frame.sender in self._state.declined:
            self._stands(frame.sender, "declined", self._state.declined[frame.sender])
        else:
            self._stands(frame.sender, "taking-part")
        self.bytes_heard[name] = self.bytes_heard.get(name, 0) + len(data) + len(payload or b"")
        self._say("heard", step=step, round_=self._round, site=name, detail=str(frame.kind))

    # Helpers -------------------------------------------------------------------------------------------------------

    def _tell(self, event: Close | Abandon | Publish) -> None:
        with self._commit(tell(self._at(Record), event, self._inputs(type(event).__name__))):
            pass

    @contextmanager
    def _commit(self, step: Step) -> Iterator[JournalBatch]:
        """Commit a step's state, packages, frames and sum together with what the block adds, then adopt the state."""
        with self._journal.transaction() as batch:
            yield batch
            batch.put(self._machine, encode_state(step.state))
            self._receipt.note(self._state, step)
            for effect in step.effects:
                if isinstance(effect, Keep):
                    self._tables.keep(effect.site, effect.package)
                elif isinstance(effect, Send):
                    to, data = self._address(step, effect), effect.frame.encode()
                    batch.post(self._run, to, data, effect.payload, shared=effect.shared)
                elif isinstance(effect, Learned):
                    self._learn(effect)
            if any(isinstance(effect, (Send, Learned)) for effect in step.effects):
                self._tables.changed()
            if isinstance(self._state, cr.CoordinatorInRound) and not isinstance(step.state, cr.CoordinatorInRound):
                self._tables.close_round()
        self._state = step.state

    def _learn(self, learned: Learned) -> None:
        """Store the answer to the open query in the transaction of the step that produced it."""
        pending = self._tables.pending()
        if pending is not None and isinstance(self._state, cr.CoordinatorInRound):
            bits, total = self._state.current.schema.ring_bits, np.asarray(learned.total, np.float64)
            answer = ReleasedSum(learned.round, bits, self._names(learned.survivors), total)
            self._tables.enter(pending.position, pending.query, answer)

    def _address(self, step: Step, send: Send) -> bytes | None:
        if send.frame.recipient == EVERYONE:
            return None
        return self._manifest_sites(step.state)[send.frame.recipient - 1]

    def _manifest_sites(self, state: Record | None) -> tuple[bytes, ...]:
        if isinstance(state, cr.CoordinatorInRound):
            return state.idle.manifest.sites
        return state.manifest.sites if isinstance(state, (cs.CoordinatorSetup, cr.Prepared)) else ()

    def _names(self, sites: Collection[int]) -> tuple[str, ...]:
        return tuple(sorted(self._name(site) for site in sites))

    def _name(self, site: int) -> str:
        return self._participants.names[self._manifest_sites(self._state)[site - 1]]

    @property
    def _round(self) -> int:
        """Number of the open round, or 0 during setup."""
        return self._state.current.round if isinstance(self._state, cr.CoordinatorInRound) else 0

    def _inputs(self, event: str = "") -> StepInputs:
        """Return the inputs of a step.

        The randomness of a round's later steps follows from the round's seed: if a process and its standby take the
        same step from the same state, they produce the same bytes, and no key seals two different messages.
        """
        pending = self._tables.pending() if event and isinstance(self._state, cr.CoordinatorInRound) else None
        name = f"{type(self._state).__name__} {event}".encode()
        return StepInputs(
            identity=self._identity,
            rand=os.urandom(32) if pending is None else tagged_hash("coordinator-step", pending.seed, name),
            encapsulations=self._tables.packages(EncapsulationPackage),
            shares=self._tables.packages(SharePackage),
            leaves=self._tables.packages(HeldLeaves),
        )

    def _say(
        self, what: What, *, step: str = "", round_: int = 0, site: str = "", detail: str = "", sites: int = 0
    ) -> None:
        self._show(Event(what, step, round_, site, detail, sites, round(time.monotonic() - self._began, 3)))


_AWAITED: dict[type[cs.CoordinatorSetup], str] = {
    cs.AwaitJoins: "Join",
    cs.AwaitPrekeys: "Prekeys",
    cs.AwaitEncapsulations: "Encapsulations",
    cs.AwaitShares: "Shares",
    cs.AwaitReceipts: "Receipt",
}


_LOSES = {"Upload"}  # steps in which a site whose answer comes too late is left out of the sum

_SHOWN: dict[How, What] = {
    "taking-part": "goes-on",
    "waiting": "waiting",
    "undecided": "waiting",
    "declined": "declined",
    "refused": "declined",
    "lost": "lost",
}


class _Reported(NamedTuple):
    """Sites that have not answered a step: those that report that they wait, and those that refuse it."""

    waiting: frozenset[int]
    refused: frozenset[int]


def _expected(setup: cs.CoordinatorSetup) -> Collection[int]:
    """Return the sites that a step of the setup waits for: those that answered in the previous step."""
    if isinstance(setup, cs.AwaitPrekeys):
        return setup.nonce_commitments
    if isinstance(setup, cs.AwaitEncapsulations):
        return setup.prekeys
    if isinstance(setup, cs.AwaitShares):
        return setup.holders
    if isinstance(setup, cs.AwaitReceipts):
        return setup.shares
    return range(1, len(setup.manifest.sites) + 1)


class _Safe(NamedTuple):
    """Threshold, tolerated colluders, and minimum survivors of an epoch."""

    threshold: int
    colluders: int
    survivors: int


def _safe(sites: int, roster: int, quorum: int, profile: Profile) -> _Safe:
    """Return the safe parameters for an epoch with some of a roster's sites.

    Any site of the roster may collude, however few take part: three sites of ten tolerate no colluder.

    Raises:
        NotEnoughParticipantsError: so few sites of so large a roster tolerate no colluder.
    """
    colluders = default_colluders(roster, profile)
    threshold = max(default_threshold(sites, profile), (sites + colluders) // 2 + 1)
    survivors = max(least_survivors(threshold, default_colluders(roster, Profile.MALICIOUS)), quorum)
    if survivors > sites:
        raise NotEnoughParticipantsError(f"{sites} sites are left of a roster of {roster}, {survivors} are needed")
    return _Safe(threshold, colluders, survivors)


def _zeros(manifest: Manifest, schema: Schema) -> RingVector | EncryptedVector:
    return EncryptedVector.zeros(schema) if manifest.is_homomorphic else RingVector.zeros(schema)
