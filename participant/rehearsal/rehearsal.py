"""A rehearsal: a complete secure sum of made-up sites through the real relay and this machine's connection, with
drop-outs.

The parties get fresh keys and enrol with tokens that the relay's operator issued for the purpose. At the end they leave
the relay, and nothing about them is stored. They run the real protocol, in the malicious profile, on the same state
machines as a real run, and the sum is compared with the plain one. One site drops out before its upload and one
after it.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from relay.api.states import RunState
from relay.client.transport import MemberState, Message, RelayClient
from secagg.envelope import EVERYONE
from secagg.errors import SecaggError
from secagg.identity import Identity, Roster
from secagg.messages import EncapsulationPackage, HeldLeaves, SharePackage
from secagg.params import Floors, LossRule, Schema, Segment, ring_bits_for
from secagg.protocol.coordinator_setup import Plan, announce
from secagg.protocol.participant_round import AwaitConfirmation, AwaitVector
from secagg.protocol.participant_setup import Outside
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import Add, Ask, Close, Confirm, Contribute, Keep, Learned, Publish, Send, Step, StepInputs
from secagg.protocol.table import receive, tell

NUMBERS = 2000
HIGHEST = 1 << 20
STEP_S = 60.0
_POLL_S = 5.0
_SETUP = ("joins", "prekeys", "encapsulations", "shares", "receipts")
_ROUND = ("uploads", "signatures", "answers")


class RehearsalError(SecaggError):
    """The rehearsal did not finish; the message names the step."""


@dataclass
class RehearsalOutcome:
    """The outcome of a rehearsal.

    Attributes:
        sites: number of sites at the start.
        lost: number of sites that dropped out on purpose.
        in_the_sum: number of sites in the sum.
        equal: whether the secure sum equals the plain one in every number.
        seconds: duration of each step.
        bytes_sent: size of all parties' frames and payloads.
    """

    sites: int
    lost: int = 2
    in_the_sum: int = 0
    equal: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    bytes_sent: int = 0


@dataclass
class _Party:
    """A made-up party: its identity, client, reading position and state machine."""

    identity: Identity
    relay: RelayClient
    position: int = 0
    state: Any = None

    async def contents(self, message: Message) -> tuple[bytes, bytes | None]:
        """Return frame and payload of a message."""
        frame = await self.relay.frame(message.id) if message.frame is None else message.frame
        if message.payload is None:
            return frame, None
        return frame, b"".join([part async for part in self.relay.download(message.payload.id)])


class Rehearsal:
    """One rehearsal.

    Args:
        client: function that returns a relay client for an identity, over the site's own connection.
        tokens: join tokens, the coordinator's first.
    """

    def __init__(self, client: Callable[[Identity], RelayClient], tokens: Iterable[str]) -> None:
        self._client = client
        self._tokens = list(tokens)
        self.outcome = RehearsalOutcome(sites=len(self._tokens) - 1)
        self._project, self._run = uuid4(), uuid4()
        low = secrets.token_bytes(self.outcome.sites * NUMBERS * 4)
        self._vectors = (np.frombuffer(low, "<u4").reshape(-1, NUMBERS) % HIGHEST).astype(np.float64)

    async def play(self) -> RehearsalOutcome:
        """Run the rehearsal, from enrolment to departure.

        Raises:
            RelayError, RelayUnavailableError: the relay refused something, or is unreachable.
            RehearsalError: a step did not finish in time.
        """
        async with AsyncExitStack() as stack:
            parties = []
            for _ in self._tokens:
                identity = Identity(os.urandom(32))
                relay = await stack.enter_async_context(self._client(identity))
                parties.append(_Party(identity, relay))
            enrolled: list[_Party] = []
            try:
                await self._timed("enrolment", self._enrol(parties, enrolled))
                await self._timed("project", self._agree(parties))
                await self._sum(parties)
            finally:
                await self._timed("departure", self._leave(enrolled))
        return self.outcome

    async def _timed(self, step: str, work: Any) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(STEP_S):
                await work
        except TimeoutError:
            raise RehearsalError(f"the rehearsal gave up after {STEP_S:g} s at the step: {step}") from None
        self.outcome.seconds[step] = round(time.monotonic() - began, 3)

    # The cast ---------------------------------------------------------------------------------------------------------

    async def _enrol(self, parties: list[_Party], enrolled: list[_Party]) -> None:
        name = secrets.token_hex(4)
        for number, (party, token) in enumerate(zip(parties, self._tokens, strict=True)):
            await party.relay.enrol(token, f"rehearsal {name} {number}")
            enrolled.append(party)

    async def _agree(self, parties: list[_Party]) -> None:
        """Create a project, its roster and a run, as people would; each party confirms its own view of them."""
        lead, *sites = parties
        terms = b"a rehearsal"
        await lead.relay.create_project(self._project, "rehearsal", terms)
        for site in sites:
            await lead.relay.invite(self._project, site.identity.public)
            await site.relay.answer(self._project, MemberState.JOINED)
        sealed = await lead.relay.seal_roster(self._project, [site.identity.public for site in sites])
        for site in sites:
            await site.relay.answer(self._project, MemberState.CONFIRMED, roster_version=sealed.version)
        await lead.relay.create_run(self._project, self._run, "rehearsal")
        await lead.relay.change_run(self._run, RunState.CREATED, RunState.PREPARING)
        await lead.relay.change_run(self._run, RunState.PREPARING, RunState.RUNNING)
        keys = [site.identity.public for site in sites]
        self._roster = Roster.of(self._project.bytes, terms, lead.identity.public, keys)
        for site in sites:
            site.state = Outside(roster=self._roster, run=self._run.bytes, floors=Floors(), last_epoch=0, survivors=())

    async def _leave(self, enrolled: list[_Party]) -> None:
        """Let every enrolled party leave the relay, whatever happened."""
        for party in reversed(enrolled):  # the coordinator last
            await party.relay.deregister(party.identity.public)

    # The sum ----------------------------------------------------------------------------------------------------------

    async def _sum(self, parties: list[_Party]) -> None:
        lead, *sites = parties
        order = {key: place for place, key in enumerate(self._roster.sites)}
        by_place = sorted(sites, key=lambda site: order[site.identity.public])
        playing = [
            asyncio.create_task(
                self._site(site, self._vectors[place], lost_at=place if place < self.outcome.lost else -1)
            )
            for place, site in enumerate(by_place)
        ]
        try:
            total, survivors = await self._coordinate(lead)
        finally:
            for task in playing:
                task.cancel()
            await asyncio.gather(*playing, return_exceptions=True)
        self.outcome.in_the_sum = len(survivors)
        plain = self._vectors[[place - 1 for place in survivors]].sum(axis=0)
        self.outcome.equal = bool(np.array_equal(total, plain)) and survivors == tuple(range(2, self.outcome.sites + 1))
        await lead.relay.change_run(self._run, RunState.RUNNING, RunState.COMPLETED)

    async def _site(self, site: _Party, vector: np.ndarray, *, lost_at: int) -> None:
        """Play a site. Lost at 0, it never uploads; at 1, it falls silent after its upload; -1 stays."""
        while True:
            for message in await site.relay.messages(site.position, _POLL_S):
                site.position = message.id
                data, payload = await site.contents(message)
                await self._do(site, receive(site.state, data, self._inputs(site), payload))
                if isinstance(site.state, AwaitVector):
                    if lost_at == 0:
                        return
                    await self._do(site, tell(site.state, Contribute(vector), self._inputs(site)))
                    if lost_at == 1:
                        return
                elif isinstance(site.state, AwaitConfirmation):
                    await self._do(site, tell(site.state, Confirm(), self._inputs(site)))

    async def _do(self, party: _Party, step: Step) -> None:
        party.state = step.state
        for effect in step.effects:
            if isinstance(effect, Send):
                await self._post(party, effect)

    async def _post(self, party: _Party, send: Send) -> None:
        to = None
        if send.frame.recipient != EVERYONE:
            place = send.frame.recipient
            to = self._roster.coordinator if place == 0 else self._roster.sites[place - 1]
        payload, frame, blob = b"".join(send.payload), send.frame.encode(), None
        if payload:
            digest, whom = sha256(payload).digest(), None if send.shared else to
            blob = await party.relay.upload(self._run, payload, size=len(payload), digest=digest, to=whom)
        await party.relay.post_message(self._run, to, frame, blob)
        self.outcome.bytes_sent += len(payload) + len(frame)

    @staticmethod
    def _inputs(party: _Party) -> StepInputs:
        return StepInputs(identity=party.identity, rand=os.urandom(32))

    async def _coordinate(self, lead: _Party) -> tuple[np.ndarray, tuple[int, ...]]:
        """Play the coordinator: close each step once all remaining sites are heard; return the sum and its sites."""
        coordinator = _Coordinator(lead, self._roster, self._run)
        segment = Segment(count=NUMBERS, clip=float(HIGHEST), step=1.0)
        bits = ring_bits_for(segment.levels, self.outcome.sites)
        coordinator.total = RingVector.zeros(Schema(ring_bits=bits, mac_lanes=2, segments=(segment,)))
        await self._do(lead, coordinator.begin())
        for step in _SETUP:
            await self._timed(step, self._heard(coordinator, self.outcome.sites))
            await self._do(lead, coordinator.tell(Close()))
        deadline = int(time.time() + 3600)
        await self._do(lead, coordinator.tell(Ask(b"rehearsal", coordinator.total.schema, deadline)))
        for number, step in enumerate(_ROUND):
            await self._timed(step, self._heard(coordinator, self.outcome.sites - min(number + 1, self.outcome.lost)))
            await self._do(lead, coordinator.tell(Close()))
        coordinator.total.mask(lead.state.masks, remove=True)
        published = coordinator.tell(Publish(coordinator.total))
        await self._do(lead, published)
        (learned,) = (effect for effect in published.effects if isinstance(effect, Learned))
        return np.asarray(learned.total, np.float64), learned.survivors

    async def _heard(self, coordinator: "_Coordinator", expected: int) -> None:
        """Read mail until `expected` sites are heard in this step."""
        for _ in range(expected):
            while not coordinator.mail:
                coordinator.mail += await coordinator.lead.relay.messages(coordinator.lead.position, _POLL_S)
                if coordinator.mail:
                    coordinator.lead.position = coordinator.mail[-1].id
            await self._do(
                coordinator.lead, coordinator.receive(*await coordinator.lead.contents(coordinator.mail.pop(0)))
            )


class _Coordinator:
    """The coordinator's machine, with the data that it keeps beside its states."""

    def __init__(self, lead: _Party, roster: Roster, run: UUID) -> None:
        self.lead, self._roster, self._run = lead, roster, run
        self.mail: list[Message] = []
        self.total: RingVector
        self._kept: dict[type, dict[int, Any]] = {EncapsulationPackage: {}, SharePackage: {}, HeldLeaves: {}}

    def begin(self) -> Step:
        now = int(time.time())
        plan = Plan(
            roster=self._roster,
            sites=self._roster.sites,
            run=self._run.bytes,
            rounds=1,
            setup_deadline=now + 3600,
            expires=now + 7200,
            loss_rule=LossRule.CONTINUE,
        )
        return announce(plan, self._inputs())

    def receive(self, data: bytes, payload: bytes | None) -> Step:
        return self._noted(receive(self.lead.state, data, self._inputs(), payload))

    def tell(self, event: Any) -> Step:
        return self._noted(tell(self.lead.state, event, self._inputs()))

    def _noted(self, step: Step) -> Step:
        for effect in step.effects:
            if isinstance(effect, Keep):
                self._kept[type(effect.package)][effect.site] = effect.package
            elif isinstance(effect, Add) and isinstance(effect.vector, RingVector):
                self.total.add(effect.vector)
        return step

    def _inputs(self) -> StepInputs:
        encapsulations, shares, leaves = self._kept.values()
        return StepInputs(
            identity=self.lead.identity,
            rand=os.urandom(32),
            encapsulations=encapsulations,
            shares=shares,
            leaves=leaves,
        )
