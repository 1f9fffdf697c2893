"""The coordinator's machine of a run, driven: it sends, waits for the sites, closes each step, adds and unmasks. In a
homomorphic epoch it adds what it cannot read, and the sites open the sum.

Order of every step: fetch, step, commit state, packages and outbox, send. When a step is closed is decided here and
nowhere else: all sites are heard, or enough are and the grace for the others is over, or the step's time is.
"""

import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from coordinator.journal import Answer, RunTables
from coordinator.progress import Event, Show, What
from coordinator.receipts import ReceiptLog
from coordinator.recovery import ClusterError, Recover, here
from relay.client.journal import Batch, Journal
from relay.client.outbox import deliver
from relay.client.transport import Message, RelayClient
from relay.service.crashpoints import crashpoint
from secagg import envelope
from secagg.codec import Record
from secagg.envelope import EVERYONE
from secagg.errors import AbortError, FaultyParticipantError, NotEnoughParticipantsError, ProtocolError
from secagg.identity import Identity, Roster
from secagg.masks import Mask
from secagg.messages import EncapsulationPackage, HeldLeaves, SharePackage
from secagg.params import LossRule, Profile, Schema
from secagg.protocol import coordinator_round as cr
from secagg.protocol import coordinator_setup as cs
from secagg.protocol.encrypted_vector import EncryptedVector
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import Abandon, Add, Ask, Close, Keep, Learned, Means, Publish, Send, Step
from secagg.protocol.table import decode_state, encode_state, receive, tell

POLL_S = 1.0  # longest wait for mail at a time, so that graces and deadlines are noticed


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the coordinator waits, in seconds: for all sites in a step, and for the last ones once enough are in."""

    step_s: float
    grace_s: float
    epoch_s: int


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part: the confirmed roster, and the sites' names for people."""

    roster: Roster
    names: dict[bytes, str]


@dataclass(frozen=True, slots=True)
class Question:
    """A query of the run, the schema of its answer, and its place among the run's queries."""

    query: bytes
    schema: Schema
    position: int


class Driver:
    """Drives one run.

    Attributes:
        bytes_heard: bytes of frames and payloads by site, as they arrived.
    """

    def __init__(
        self,
        run: UUID,
        cast: Cast,
        identity: Identity,
        journal: Journal,
        relay: RelayClient,
        pace: Pace,
        show: Show,
        recover: Recover = here,
    ) -> None:
        self._run = run
        self._cast = cast
        self._identity = identity
        self._journal = journal
        self._tables = RunTables(journal.connection, run)
        self._receipt = ReceiptLog(journal.connection, run)
        self._relay = relay
        self._pace = pace
        self._show = show
        self._recover = recover
        self._began = time.monotonic()
        self._machine = str(run)
        self._state: Record | None = None
        self._total: Any = None  # of the round that is open; not on disk, so a crash costs the round
        self._question: Question | None = None  # that the round is to answer
        self._excluded: set[int] = set()
        self.bytes_heard: dict[str, int] = dict.fromkeys(cast.names.values(), 0)

    async def resume(self) -> None:
        """Send what a crash left in the outbox, and take up the machine that the journal holds.

        An open round is given up: its total is not on disk.
        """
        await deliver(self._journal, self._relay)
        if self._machine not in self._journal.machines():
            return
        self._state = decode_state(self._journal.state(self._machine))
        if isinstance(self._state, cr.InRound):
            self._tell(Abandon())

    @property
    def left(self) -> tuple[bytes, ...] | None:
        """Keys of the sites that may still be asked in this run, or None before its first epoch."""
        if isinstance(self._state, cs.Desk):  # a setup that was cut off; the next epoch's number is higher
            return self._state.manifest.sites
        if not isinstance(self._state, cr.Prepared):
            return None
        return tuple(self._state.manifest.sites[site - 1] for site in self._state.survivors)

    # Setup ---------------------------------------------------------------------------------------------------------

    async def prepare(self, sites: Collection[bytes], *, rounds: int, **terms: Any) -> None:
        """Set up the next epoch with these sites.

        Args:
            sites: verify keys, all of the roster.
            rounds: how many rounds to prepare.
            terms: profile, loss_rule and suite, as in `secagg.protocol.coordinator_setup.Plan`.

        Raises:
            NotEnoughParticipantsError: too few sites answered in some step.
        """
        number, first = self._tables.last_epoch()
        now = int(time.time())
        plan = cs.Plan(
            roster=self._cast.roster,
            sites=tuple(sites),
            run=self._run.bytes,
            epoch=number + 1,
            first_round=first,
            rounds=rounds,
            setup_deadline=now + int(6 * self._pace.step_s) + 60,
            expires=now + self._pace.epoch_s,
            slack=self._slack(terms.get("loss_rule")),
            **terms,
        )
        step = cs.announce(plan, self._means())
        with self._commit(step):
            self._tables.forget_packages(self._machine)
            self._tables.begin_epoch(number + 1, first + rounds)
        await deliver(self._journal, self._relay)
        expected: Collection[int] = range(1, len(plan.sites) + 1)
        for awaited in ("Join", "Prekeys", "Encapsulations", "Shares", "Receipt"):
            desk: cs.Desk = self._state  # type: ignore[assignment]  # the table's order
            await self._wait(awaited, expected, enough=desk.least_members)
            expected = self._heard()
            self._tell(Close())
            await deliver(self._journal, self._relay)
        ready: cr.Prepared = self._state  # type: ignore[assignment]
        self._say("epoch-ready", detail=f"{len(ready.survivors)} sites agreed on keys for {rounds} rounds")

    def _slack(self, loss_rule: LossRule | None) -> int | None:
        """Return the slack of the next epoch: unless the rule is `continue`, nobody may be lost after an earlier one.

        A setup that was cut off is begun again as it was.
        """
        if isinstance(self._state, cs.Desk):
            return self._state.manifest.slack
        return 0 if self._state is None or loss_rule is LossRule.CONTINUE else None

    # Rounds --------------------------------------------------------------------------------------------------------

    @property
    def rounds_left(self) -> int:
        if not isinstance(self._state, cr.Prepared):
            return 0
        return self._state.manifest.first_round + self._state.manifest.rounds - self._state.next_round

    async def ask(self, query: bytes, schema: Schema, position: int, *, learn: bool = True) -> Answer:
        """Run one round and return the sum, which the journal keeps as the answer to the run's query `position`.

        A dealer whose shares or vault are wrong is named; the round is repeated without it. In a homomorphic epoch
        nobody is named, and unless the coordinator is to `learn` the sum the answer holds none: the sites have it.

        Raises:
            NotEnoughParticipantsError: too few sites are left; the round is given up.
        """
        while True:
            try:
                return await self._round(Question(query, schema, position), learn=learn)
            except FaultyParticipantError as error:
                self._say("refused", site=self._name(error.party or 0), detail=str(error))
                self._excluded.add(error.party or 0)
                self._give_up("a site's shares or vault are wrong")
            except AbortError as error:
                self._give_up(str(error))
                raise

    async def _round(self, question: Question, *, learn: bool) -> Answer:
        idle: cr.Prepared = self._state  # type: ignore[assignment]
        manifest = idle.manifest
        roster = tuple(site for site in idle.survivors if site not in self._excluded)
        deadline = int(time.time() + 4 * (self._pace.step_s + self._pace.grace_s)) + 1
        schema, self._question = question.schema, question
        self._total = EncryptedVector.zeros(schema) if manifest.is_homomorphic else RingVector.zeros(schema)
        self._tell(Ask(question.query, schema, deadline, roster))
        opened: cr.AwaitUploads = self._state  # type: ignore[assignment]
        number = opened.turn.round
        self._say("round-opened", round_=number, detail=f"{len(roster)} sites asked for {schema.length} numbers")
        await deliver(self._journal, self._relay)
        await self._wait("Upload", roster, enough=manifest.survivors, round_=number)
        self._tell(Close())
        await deliver(self._journal, self._relay)
        proposed: cr.AwaitSignatures | cr.AwaitAnswers | cr.AwaitSealedShares = self._state  # type: ignore[assignment]
        answering: Collection[int] = proposed.survivors
        if manifest.profile is Profile.MALICIOUS:
            await self._wait("Consistency", proposed.survivors, enough=manifest.threshold, round_=number)
            answering = self._heard()  # who did not sign will not answer either
            self._tell(Close())
            await deliver(self._journal, self._relay)
        if manifest.is_homomorphic:
            await self._pass_on(answering, learn=learn)
        else:
            await self._open(answering)
        lost = len(roster) - len(proposed.survivors)
        detail = f"sum over {len(proposed.survivors)} sites" + (f", {lost} lost on the way" if lost else "")
        self._say("round-done", round_=number, detail=detail if learn else f"{detail}; the sites hold it")
        return self._tables.answer(question.position, question.query)  # type: ignore[return-value]  # entered just now

    async def _open(self, answering: Collection[int]) -> None:
        """Take the masks away that are left in the sum, and send it to its sites."""
        asked: cr.AwaitAnswers = self._state  # type: ignore[assignment]
        await self._wait("Unmask", answering, enough=asked.idle.manifest.threshold, round_=asked.turn.round)
        crashpoint("before-unmask")
        self._tell(Close())
        removal: cr.AwaitTotal = self._state  # type: ignore[assignment]
        await self._unmask(self._total, removal.masks)
        self._tell(Publish(self._total))
        await deliver(self._journal, self._relay)

    async def _pass_on(self, answering: Collection[int], *, learn: bool) -> None:
        """Send the encrypted sum to its sites with what opens it, and take what they publish if they do.

        Raises:
            NotEnoughParticipantsError: too few sites sealed their shares, or published the same sum.
        """
        asked: cr.AwaitSealedShares = self._state  # type: ignore[assignment]
        manifest, number, survivors = asked.idle.manifest, asked.turn.round, asked.survivors
        await self._wait("SealedShares", answering, enough=manifest.threshold, round_=number)
        crashpoint("before-opening")
        with self._commit(tell(self._state, Publish(self._total), self._means())):  # type: ignore[type-var]
            if not learn:
                self._enter(Answer(number, asked.turn.schema.ring_bits, self._names(survivors), None))
        await deliver(self._journal, self._relay)
        if learn:
            # So many are heard that those who may lie are outnumbered.
            await self._wait("Opened", survivors, enough=2 * manifest.colluders + 1, round_=number)
            question: Question = self._question  # type: ignore[assignment]
            if self._tables.answer(question.position, question.query) is None:
                raise NotEnoughParticipantsError(
                    f"{len(self._heard())} sites published what they opened, and no {manifest.colluders + 1} of them "
                    "the same sum; the logs of the others say why they opened none"
                )
        self._tell(Close())

    async def _unmask(self, total: RingVector, left: Sequence[Mask]) -> None:
        try:
            await self._recover(total, left)
        except ClusterError as error:
            self._say("cluster-failed", detail=f"{error}; the masks are taken away here")
            await here(total, left)

    def _enter(self, answer: Answer) -> None:
        """Keep the answer to the question that is open, in the transaction of the step that gave it."""
        question: Question = self._question  # type: ignore[assignment]
        self._tables.enter(question.position, question.query, answer)

    def _give_up(self, reason: str) -> None:
        if isinstance(self._state, cr.InRound):
            number = self._state.turn.round
            self._tell(Abandon())
            self._say("round-abandoned", round_=number, detail=reason)

    # Waiting -------------------------------------------------------------------------------------------------------

    async def _wait(self, step: str, expected: Collection[int], *, enough: int, round_: int = 0) -> None:
        """Read mail until all expected sites are heard, or enough and their grace is over, or the step's time is."""
        self._say("step", step=step, round_=round_, detail=f"waiting for {len(expected)} sites", sites=len(expected))
        began = time.monotonic()
        heard = self._heard()
        enough_since = began if len(heard) >= enough else None
        while missing := set(expected) - heard:
            now = time.monotonic()
            ends = began + self._pace.step_s
            if enough_since is not None:
                ends = min(ends, enough_since + self._pace.grace_s)
            if now >= ends:
                for site in sorted(missing):
                    self._say("lost", step=step, round_=round_, site=self._name(site), detail=f"sent no {step} in time")
                return
            for message in await self._relay.messages(self._journal.position, min(POLL_S, ends - now)):
                await self._take(message, step, round_)
            heard = self._heard()
            if enough_since is None and len(heard) >= enough:
                enough_since = time.monotonic()

    def _heard(self) -> set[int]:
        """Return the sites that the present step has heard, those that declined among them."""
        state = self._state
        if isinstance(state, cs.Desk):
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

    async def _take(self, message: Message, step: str, round_: int) -> None:
        """Deal with one message: a step of the machine, or a refusal that names the site; either way it is read."""
        data = await self._relay.frame(message.id) if message.frame is None else message.frame
        payload = None
        if message.payload is not None:
            payload = b"".join([part async for part in self._relay.download(message.payload.id)])
        name = self._cast.names.get(message.sender, "a stranger")
        try:
            done = receive(self._state, data, self._means(), payload)  # type: ignore[type-var]
        except ProtocolError as refusal:
            if message.run == self._run:
                self._say("refused", step=step, round_=round_, site=name, detail=str(refusal))
            with self._journal.transaction() as batch:
                batch.read_to(message.id)
            return
        with self._commit(done) as batch:
            batch.read_to(message.id)
        for effect in done.effects:
            if isinstance(effect, Add) and self._total is not None:
                self._total.add(effect.vector)
        self.bytes_heard[name] = self.bytes_heard.get(name, 0) + len(data) + len(payload or b"")
        kind = envelope.parse(data).kind
        self._say("heard", step=step, round_=round_, site=name, detail=str(kind))

    # Pieces --------------------------------------------------------------------------------------------------------

    def _tell(self, event: Ask | Close | Abandon | Publish) -> None:
        with self._commit(tell(self._state, event, self._means())):  # type: ignore[type-var]
            pass

    @contextmanager
    def _commit(self, step: Step) -> Iterator[Batch]:
        """Make durable what a step gives (state, packages, frames, a sum) and what the block adds, then adopt it."""
        with self._journal.transaction() as batch:
            yield batch
            batch.put(self._machine, encode_state(step.state))
            self._receipt.note(self._state, step)
            for effect in step.effects:
                if isinstance(effect, Keep):
                    self._tables.keep(self._machine, effect.site, effect.package)
                elif isinstance(effect, Send):
                    to, data = self._address(step, effect), effect.frame.encode()
                    batch.post(self._run, to, data, effect.payload, shared=effect.shared)
                elif isinstance(effect, Learned):
                    bits, total = self._question.schema.ring_bits, np.asarray(effect.total, np.float64)  # type: ignore[union-attr]
                    self._enter(Answer(effect.round, bits, self._names(effect.survivors), total))
        self._state = step.state

    def _address(self, step: Step, send: Send) -> bytes | None:
        if send.frame.recipient == EVERYONE:
            return None
        return self._manifest_sites(step.state)[send.frame.recipient - 1]

    def _manifest_sites(self, state: Record | None) -> tuple[bytes, ...]:
        if isinstance(state, cr.InRound):
            return state.idle.manifest.sites
        return state.manifest.sites if isinstance(state, (cs.Desk, cr.Prepared)) else ()

    def _names(self, sites: Collection[int]) -> tuple[str, ...]:
        return tuple(sorted(self._name(site) for site in sites))

    def _name(self, site: int) -> str:
        return self._cast.names[self._manifest_sites(self._state)[site - 1]]

    def _means(self) -> Means:
        return Means(
            identity=self._identity,
            rand=os.urandom(32),
            encapsulations=self._tables.packages(self._machine, EncapsulationPackage),
            shares=self._tables.packages(self._machine, SharePackage),
            leaves=self._tables.packages(self._machine, HeldLeaves),
        )

    def _say(
        self, what: What, *, step: str = "", round_: int = 0, site: str = "", detail: str = "", sites: int = 0
    ) -> None:
        self._show(Event(what, step, round_, site, detail, sites, round(time.monotonic() - self._began, 3)))
