"""One state machine as its driver sees it: frames and events in, frames out, and a record of its history."""

from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

from secagg import keys
from secagg.codec import Record
from secagg.envelope import Frame
from secagg.identity import Identity
from secagg.messages import EncapsulationPackage, HeldLeaves, SharePackage, Unmask
from secagg.protocol.encrypted_vector import EncryptedVector
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import Add, Effect, Event, Keep, Send, Step, StepInputs
from secagg.protocol.table import receive, tell

Vector = RingVector | EncryptedVector


class Parcel(NamedTuple):
    """A frame in transit, with its payload."""

    frame: Frame
    payload: bytes = b""


KINDS = (EncapsulationPackage, SharePackage, HeldLeaves)


@dataclass
class Party:
    """One state machine: its identity, state, history and output."""

    index: int
    identity: Identity
    state: Record
    seed: bytes
    steps: int = 0
    packages: dict[type, dict[int, Any]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    total: Vector | None = None
    past: list[Record] = field(default_factory=list)
    taken: list[tuple[Record, Parcel]] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def inputs(self) -> StepInputs:
        self.steps += 1
        return StepInputs(
            identity=self.identity,
            rand=sha256(b"%b step %d" % (self.seed, self.steps)).digest(),
            encapsulate=lambda public: _encapsulation(self.index, public),
            encapsulations=self.packages[EncapsulationPackage],
            shares=self.packages[SharePackage],
            leaves=self.packages[HeldLeaves],
        )

    def receive(self, parcel: Parcel) -> list[Parcel]:
        before, sent = self.state, self.receive_bytes(parcel.frame.encode(), parcel.payload)
        self.taken.append((before, parcel))
        return sent

    def receive_bytes(self, data: bytes, payload: bytes) -> list[Parcel]:
        return self.settle(receive(self.state, data, self.inputs(), payload))

    def tell(self, event: Event) -> list[Parcel]:
        return self.settle(tell(self.state, event, self.inputs()))

    def settle(self, step: Step) -> list[Parcel]:
        """Adopt the step's state, store its packages, and return the parcels to send."""
        self.past.append(self.state)
        self.state = step.state
        self.effects += step.effects
        sent = []
        for effect in step.effects:
            if isinstance(effect, Send):
                sent.append(Parcel(effect.frame, b"".join(effect.payload)))
            elif isinstance(effect, Keep):
                self.packages[type(effect.package)][effect.site] = effect.package
            elif isinstance(effect, Add):
                self.total = sum_of(self.total, effect.vector)
        return sent

    def was(self, kind: type[Record], count: int = 1) -> Any:
        """Return the `count`-th state of this kind that the party was in."""
        return [state for state in (*self.past, self.state) if type(state) is kind][count - 1]

    def copy(self) -> "Party":
        return replace(
            self,
            packages={kind: dict(of) for kind, of in self.packages.items()},
            past=list(self.past),
            taken=list(self.taken),
            effects=list(self.effects),
        )


def sum_of(total: Vector | None, vector: Vector) -> Any:
    """Return a new total, so that arrays in earlier snapshots stay unchanged."""
    result: Any = type(vector).zeros(vector.schema)
    for part in (total, vector):
        if part is not None:
            result.add(part)
    return result


@cache
def _encapsulation(_party: int, public: bytes) -> tuple[bytes, bytes]:
    return keys.encapsulate(public)


def revealed(before: Any, answer: Frame) -> dict[int, int]:
    """Return, by dealer, which secret a site's answer reveals a share of: SEED_SHARE or VAULT_SHARE."""
    current = before.current
    shares = Unmask.decode(keys.unseal(current.answer_key, answer.body, answer.header())).shares
    assert set(shares) == set(current.roster)
    return {
        dealer: (current.row[dealer][:32], current.row[dealer][32:]).index(share) for dealer, share in shares.items()
    }
