"""How much time does secrecy add to a round through the real relay?

One relay process; the coordinator's own driver and all sites as its clients in another, each with its durable
journal. Both processes share this machine's cores, so the sites' computing adds up here, whereas real sites compute in
parallel. The plain round moves float32 vectors the same way, sealed, spooled, uploaded, downloaded and added; it
has neither masks nor the messages that unmask. The setup of the epoch is not timed.
"""

import asyncio
import math
import os
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from bench import plain_round
from bench.measure import Row, in_words
from bench.scene import Member, Scene, scene
from bench.workers.work import CLIP, VALUE_BITS, vector
from coordinator.runs.channel import RunChannel
from coordinator.runs.driver import Driver, Participants, Timeouts
from coordinator.session.mailbox import Mailbox, Subscription
from coordinator.session.progress import nowhere
from relay.client.transport import Message
from secagg.params import Floors, LossRule, Schema, Segment, mac_lanes_for, ring_bits_for
from secagg.protocol.participant_round import AwaitConfirmation, AwaitOpen, AwaitVector
from secagg.protocol.participant_setup import Outside
from secagg.protocol.step import Confirm, Contribute, Event, Send, Step, StepInputs
from secagg.protocol.table import encode_state, receive, tell

PACE = Timeouts(step_s=600, grace_s=600, officer_s=0, epoch_s=7200, run_ends=math.inf)
T = TypeVar("T")


class Site:
    """A site of the secure rounds: fetch, step, commit, send."""

    def __init__(self, member: Member, scene: Scene, run: UUID, values: NDArray[np.float64]) -> None:
        self._member, self._run, self._values = member, run, values
        self._coordinator = scene.coordinator.identity.public
        self.state = Outside(roster=scene.roster, run=run.bytes, floors=Floors(), last_epoch=0, survivors=())

    async def until_idle(self) -> None:
        """Take part until the epoch is ready or the round is over."""
        while True:
            for message in await self._member.mail():
                before = self.state
                await self._take(message)
                if isinstance(self.state, AwaitOpen) and not isinstance(before, AwaitOpen):
                    return

    async def _take(self, message: Message) -> None:
        data = await self._member.relay.frame(message.id) if message.frame is None else message.frame
        payload = await self._member.payload_of(message)
        self._commit(await asyncio.to_thread(receive, self.state, data, self._inputs(), payload), message.id)
        if isinstance(self.state, AwaitVector):
            await self._tell(Contribute(self._values))
        elif isinstance(self.state, AwaitConfirmation):
            await self._tell(Confirm())
        await self._member.deliver()

    async def _tell(self, event: Event) -> None:
        self._commit(await asyncio.to_thread(tell, self.state, event, self._inputs()))

    def _commit(self, step: Step, read: int | None = None) -> None:
        with self._member.journal.transaction() as batch:
            batch.put("machine", encode_state(step.state))
            if read is not None:
                batch.read_to(read)
            for effect in step.effects:
                if isinstance(effect, Send):
                    batch.post(
                        self._run, self._coordinator, effect.frame.encode(), effect.payload, shared=effect.shared
                    )
        self.state = step.state

    def _inputs(self) -> StepInputs:
        return StepInputs(identity=self._member.identity, rand=os.urandom(32))


def rows() -> list[Row]:
    with TemporaryDirectory() as folder:
        return [asyncio.run(measured(Path(folder), n=20, d=10**7))]


async def measured(folder: Path, *, n: int, d: int, repetitions: int = 1) -> Row:
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(scene(folder, n))
        values = [vector(u, d) for u in range(n)]
        run = await there.run()
        subscription = await stack.enter_async_context(Mailbox(there.coordinator.relay).subscription(run, 0))
        driver, secure_sites = await _prepared(there, run, subscription, values, rounds=repetitions)
        plain_run = await there.run()
        seconds: dict[str, list[float]] = {"secure": [], "plain": []}
        for number in range(1, repetitions + 1):
            secure = driver.ask(b"bench", _schema(n, d), number)
            taken, answer = await _timed(secure, *(site.until_idle() for site in secure_sites))
            seconds["secure"].append(taken)
            plain = plain_round.lead(there, plain_run, number, d)
            members = enumerate(zip(there.sites, values, strict=True), 1)
            taken, total = await _timed(
                plain, *(plain_round.take_part(one, i, there, plain_run, v) for i, (one, v) in members)
            )
            seconds["plain"].append(taken)
            if np.abs(answer.total - total).max() > n * CLIP * (2.0**-VALUE_BITS + 2.0**-23):
                raise AssertionError("the two sums differ; a time without a result means nothing")
    ours, theirs = (float(np.median(seconds[kind])) for kind in ("secure", "plain"))
    return Row(
        f"secure round against a plain one through the relay, n = {n}, d = {d:,}, all on this machine",
        "<= 1.25 x the plain round's wall time",
        f"{ours / theirs:.2f} x (secure {in_words(ours)}, plain {in_words(theirs)})",
        ours <= 1.25 * theirs,
        {"ours_s": ours, "theirs_s": theirs, "ratio": ours / theirs},
    )


async def _prepared(
    there: Scene, run: UUID, subscription: Subscription, values: list[NDArray[np.float64]], rounds: int
) -> tuple[Driver, list[Site]]:
    """Set up a run's epoch."""
    head = there.coordinator
    names = {one.identity.public: f"site {i}" for i, one in enumerate(there.sites, 1)}
    line = RunChannel(run, head.journal, head.relay, subscription)
    driver = Driver(run, Participants(there.roster, names), head.identity, head.journal, line, PACE, nowhere)
    sites = [Site(member, there, run, row) for member, row in zip(there.sites, values, strict=True)]
    keys = [one.identity.public for one in there.sites]
    epoch = driver.prepare(keys, rounds=rounds, loss_rule=LossRule.CONTINUE)
    await _timed(epoch, *(site.until_idle() for site in sites))
    return driver, sites


async def _timed(lead: Awaitable[T], *others: Awaitable[None]) -> tuple[float, T]:
    """Return the seconds until all are done, and the result of `lead`."""
    start = perf_counter()
    found, *_ = await asyncio.gather(lead, *others)
    return perf_counter() - start, found


def _schema(n: int, d: int) -> Schema:
    levels = (1 << (VALUE_BITS - 1)) - 1
    bits = ring_bits_for(levels, n)
    return Schema(
        ring_bits=bits, mac_lanes=mac_lanes_for(bits), segments=(Segment(count=d, clip=CLIP, step=CLIP / levels),)
    )
