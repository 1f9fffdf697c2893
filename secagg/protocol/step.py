"""The inputs and outputs of a step: received frames, local events, step inputs, effects.

Spec: 02-protocol §1. The machines do no I/O. Their driver fetches a frame, calls a step, makes the new state and the
effects durable in one transaction, and only then sends, so that a repetition after a crash repeats the same bytes.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

from numpy.typing import ArrayLike

from secagg import envelope
from secagg.codec import Record, record
from secagg.envelope import COORDINATOR, Frame
from secagg.errors import (
    DecodeError,
    FaultyParticipantError,
    ParameterError,
    ProtocolError,
    StateError,
)
from secagg.identity import Identity
from secagg.keys import Encapsulate, UnsealError, encapsulate, seal, unseal
from secagg.messages import EncapsulationPackage, HeldLeaves, ProtocolMessage, SharePackage
from secagg.params import Schema
from secagg.protocol.encrypted_vector import EncryptedVector
from secagg.protocol.ring_vector import RingVector

RAND_BYTES = 32


@dataclass(frozen=True, slots=True)
class StepInputs:
    """The inputs that a step may use besides its state.

    Attributes:
        identity: the party's identity, which signs its frames.
        rand: 32 secret bytes, drawn afresh for each step and never reused.
        encapsulate: ML-KEM-768 encapsulation, whose randomness the library draws itself.
        encapsulations, shares, leaves: what the coordinator stored for the sites, by site (see `Keep`). Each entry is
            read once per step, so mappings that read from disk are fine.
    """

    identity: Identity
    rand: bytes = field(repr=False)
    encapsulate: Encapsulate = encapsulate
    encapsulations: Mapping[int, EncapsulationPackage] = field(default_factory=dict, repr=False)
    shares: Mapping[int, SharePackage] = field(default_factory=dict, repr=False)
    leaves: Mapping[int, HeldLeaves] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if len(self.rand) != RAND_BYTES:
            raise ParameterError(f"a step needs {RAND_BYTES} random bytes, got {len(self.rand)}")


Package: TypeAlias = EncapsulationPackage | SharePackage | HeldLeaves
"""Data stored by the coordinator: content from one site for others, and hashes to check their answers against."""


class Received(NamedTuple):
    """A frame whose header and signature were checked, with the payload that came with it."""

    frame: Frame
    payload: bytes | None


@record
class Listening(Record):
    """Base of the states that accept messages."""

    @abstractmethod
    def admit(self, frame: Frame) -> None:
        """Check header and signature of a frame that is meant for this state; raises ProtocolError."""


# Local events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """The current time, in seconds since 1970; deadlines pass only through this event."""

    now: int


@dataclass(frozen=True, slots=True)
class Contribute:
    """The site's vector for the open round. Shape: (m,) finite numbers, m the schema's length."""

    vector: ArrayLike = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeclineRound:
    """The site declines the open round, for a reason that becomes public."""

    reason: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """The site's policy agrees to unmask the proposed set of survivors.

    Attributes:
        publish: in a homomorphic epoch, whether to send the coordinator the opened sum (`Release`).
    """

    publish: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """The site publishes the sum that it opened, as far as its rules allow.

    Sites publish the same numbers only if their rules are a function of the opened sum and of public facts.

    Attributes:
        hidden: entries to hide, (m,) bool; or one bool for all.
        values: (m,) integers to publish, where a rule shows a small count as none; None for those that were opened.
    """

    hidden: ArrayLike = False
    values: ArrayLike | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Withhold:
    """The site's policy disagrees; the site takes no further part in this round."""


@dataclass(frozen=True, slots=True)
class Close:
    """The coordinator stops waiting for frames of the current step."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The coordinator opens a round. An empty roster means every remaining site."""

    query: bytes
    schema: Schema
    deadline: int
    roster: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Publish:
    """The sum of the round: with the masks from `AwaitTotal` removed, or in a homomorphic epoch still encrypted."""

    total: RingVector | EncryptedVector


@dataclass(frozen=True, slots=True)
class Abandon:
    """The coordinator abandons the round; its number is never used again."""


Event: TypeAlias = Tick | Contribute | DeclineRound | Confirm | Release | Withhold | Close | Ask | Publish | Abandon

# Effects -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for another party: a frame, whose header names the recipient, and the parts of its payload.

    Attributes:
        shared: whether the payload is the same for all sites, so that it need not be stored once per site.
    """

    frame: Frame
    payload: tuple[bytes, ...] = field(default=(), repr=False)
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """The coordinator durably stores a package for a site; it is returned in `StepInputs`."""

    site: int
    package: Package = field(repr=False)


@dataclass(frozen=True, slots=True)
class Add:
    """A verified upload, which the coordinator adds to the round's total."""

    site: int
    vector: RingVector | EncryptedVector


@dataclass(frozen=True, slots=True)
class Learned:
    """A round's sum, verified as far as this party can. Shape of total: (m,) float64, NaN where the sites hid an entry.

    `root` names the payload that contained it: that of Result, Opening or Opened.
    """

    round: int
    survivors: tuple[int, ...]
    total: ArrayLike = field(repr=False)
    root: bytes = field(repr=False)


Effect: TypeAlias = Send | Keep | Add | Learned


class Step(NamedTuple):
    """A transition: the next state, and what to do once that state is durable."""

    state: Record
    effects: tuple[Effect, ...] = ()


Handler: TypeAlias = Callable[..., Step]

# Frames ------------------------------------------------------------------------------------------------------------

Blame: TypeAlias = Callable[[str, str], ProtocolError]
"""Function from a check ID and a detail to an error: FaultyCoordinatorError, or FaultyParticipantError for a site."""

M = TypeVar("M", bound=ProtocolMessage)


def blame_for(site: int) -> Blame:
    return partial(FaultyParticipantError, party=site)


def body_of(kind: type[M], frame: Frame, blame: Blame) -> M:
    """Return the message in a frame whose signature was checked: a malformed body is then its author's fault."""
    return _decoded(kind, frame.body, blame)


def sealed_body_of(kind: type[M], frame: Frame, key: bytes, blame: Blame) -> M:
    """Return the message in a sealed frame. Raises V-0204 if it does not open."""
    try:
        body = unseal(key, frame.body, frame.header())
    except UnsealError:
        raise blame("V-0204", "the sealed body does not open") from None
    return _decoded(kind, body, blame)


def _decoded(kind: type[M], body: bytes, blame: Blame) -> M:
    try:
        return kind.decode(body)
    except DecodeError as error:
        raise blame(error.check, f"{kind.__name__} {error.detail}") from None


def signed(
    inputs: StepInputs,
    message: ProtocolMessage,
    *,
    epoch: bytes,
    transcript: bytes,
    sender: int,
    recipient: int = COORDINATOR,
    round_: int = 0,
    key: bytes | None = None,
) -> Frame:
    """Return the signed frame of a message; a message that must be sealed needs its `key`."""
    body = message.encode()
    if message.SEALED:
        if key is None:
            raise StateError(f"{type(message).__name__} is never sent unsealed")
        body = seal(key, body, envelope.header(message.KIND, epoch, transcript, round_, sender, recipient))
    return envelope.sign(
        inputs.identity,
        body,
        kind=message.KIND,
        epoch=epoch,
        transcript=transcript,
        round_=round_,
        sender=sender,
        recipient=recipient,
    )
