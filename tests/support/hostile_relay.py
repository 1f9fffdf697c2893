"""Parties that survive crashes, and a relay that is not trusted at all.

A driver acts like a daemon: fetch, step, make state and outbox durable in one commit, send. A crash before the commit
loses the step, and nothing was sent; after a crash that follows the commit, the outbox is sent again, byte for byte.
The relay keeps the waiting parcels; whoever plays it decides what is delivered, when, and how often.
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
    """A relay: every posted parcel by slot, all deliveries that were ever due, and those still waiting."""

    sites: range
    slots: dict[Slot, Parcel] = field(default_factory=dict)
    log: list[tuple[int, Parcel]] = field(default_factory=list)
    waiting: list[tuple[int, Parcel]] = field(default_factory=list)

    def post(self, parcel: Parcel) -> None:
        """Take a parcel; however often an honest author sends it, frame and payload are the same for a slot."""
        known = self.slots.setdefault(parcel.frame.slot, parcel)
        assert known == parcel, f"an honest party sent two different parcels for one slot: {known} and {parcel}"
        recipient = parcel.frame.recipient
        for one in self.sites if recipient == EVERYONE else (recipient,):
            self.log.append((one, parcel))
            self.waiting.append((one, parcel))


@dataclass
class Driver:
    """A party with its journal: the durable state, and the parcels of the last step that sent any."""

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
        """Take a step, commit it and send; return its effects, or the error, which must leave the state unchanged."""
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
        """Take a step and crash before the commit: its randomness is never drawn again, and nothing was sent."""
        trial = self.party.copy()
        with suppress(SecaggError):
            action(trial)
        self.party.steps = trial.steps
        self.restart()

    def restart(self) -> None:
        """Restart from the journal, and resend parcels that may not have arrived."""
        self.party.state = decode_state(self.journal)
        for parcel in self.outbox:
            self.relay.post(parcel)
