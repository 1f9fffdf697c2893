"""Parties that survive crashes, and a relay that is trusted for nothing.

A driver does what a daemon does: fetch, step, make state and outbox durable in one commit, send. A crash before the
commit loses the step, and nothing was sent; after a crash that follows the commit, what was to be sent is sent again,
byte by byte. The relay keeps what waits for whom, and whoever plays it decides what is delivered, when, and how often.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from secagg.codec import Record
from secagg.envelope import EVERYONE, Slot
from secagg.errors import SecaggError
from secagg.protocol.step import Effect
from secagg.protocol.table import decode_state, encode_state
from tests.support.party import Parcel, Party

Action = Callable[[Party], list[Parcel]]


@dataclass
class Relay:
    """Every parcel that was posted, by slot; what was ever to be delivered to whom, and what still is."""

    sites: range
    slots: dict[Slot, Parcel] = field(default_factory=dict)
    log: list[tuple[int, Parcel]] = field(default_factory=list)
    waiting: list[tuple[int, Parcel]] = field(default_factory=list)

    def post(self, parcel: Parcel) -> None:
        """Take a parcel; an honest author has one for a slot, frame and payload, however often it sends it."""
        known = self.slots.setdefault(parcel.frame.slot, parcel)
        assert known == parcel, f"an honest party sent two different parcels for one slot: {known} and {parcel}"
        recipient = parcel.frame.recipient
        for one in self.sites if recipient == EVERYONE else (recipient,):
            self.log.append((one, parcel))
            self.waiting.append((one, parcel))


@dataclass
class Driver:
    """A party with its journal: the durable state, and what the last step that sent anything has sent."""

    party: Party
    relay: Relay
    journal: bytes = b""
    outbox: list[Parcel] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.journal = encode_state(self.party.state)

    @property
    def state(self) -> Record:
        return self.party.state

    def step(self, action: Action) -> SecaggError | list[Effect]:
        """Take a step, commit it, send; return its effects, or the error, which must have changed nothing."""
        trial = self.party.copy()
        try:
            sent = action(trial)
        except SecaggError as error:
            assert encode_state(self.party.state) == self.journal, "a refused step has changed the state"
            return error
        effects = trial.effects[len(self.party.effects) :]
        self.party, self.journal = trial, encode_state(trial.state)
        self.outbox = sent or self.outbox
        for parcel in sent:
            self.relay.post(parcel)
        return effects

    def crash_within(self, action: Action) -> None:
        """Take a step and crash before the commit: whatever it drew is never drawn again, and nothing was sent."""
        trial = self.party.copy()
        with suppress(SecaggError):
            action(trial)
        self.party.steps = trial.steps
        self.restart()

    def restart(self) -> None:
        """Come back from the journal, and send again what may not have arrived."""
        self.party.state = decode_state(self.journal)
        for parcel in self.outbox:
            self.relay.post(parcel)
