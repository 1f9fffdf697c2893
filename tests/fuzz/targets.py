"""Invariant: any bytes give a new state or a ProtocolError, nothing else, and an error leaves the state unchanged.

The corpus is every transition of real runs: a state, and the frame that it accepted. A case changes the frame, signs it
and all forwarded frames in it with the right keys, seals it and binds its payload as its author would, and passes it to
the state machine; an accepted frame is followed for one more step. Other cases pass changed bytes to every decoder,
which must refuse them or return a record of exactly these bytes.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple

from secagg import envelope, merkle
from secagg.codec import Record
from secagg.envelope import Frame
from secagg.errors import DecodeError, ParameterError, ProtocolError, SecaggError
from secagg.keys import seal, unseal
from secagg.masks import Mask
from secagg.messages import (
    MESSAGES,
    Decline,
    EncapsulationPackage,
    Encapsulations,
    Open,
    Opening,
    ProtocolMessage,
    Result,
    SharePackage,
    Shares,
    Upload,
)
from secagg.params import Floors
from secagg.protocol import derivations as d
from secagg.protocol import participant_round as pr
from secagg.protocol.ring_vector import VectorError, open_vector
from secagg.protocol.step import Abandon, Close, Confirm, Contribute, DeclineRound, Event, Tick, Withhold
from secagg.protocol.table import TABLE, decode_state, encode_state
from secagg.receipts import Asked, Confirmed, Ended, ReceiptError, Released, read, signed, verify_receipt
from tests.fuzz.mutations import Random, changed_bytes, changed_record
from tests.support import receipts
from tests.support.party import Parcel, Party
from tests.support.playbook import Play
from tests.support.states import runs, sparse_run

PACKAGES: dict[type[ProtocolMessage], type[Record]] = {Encapsulations: EncapsulationPackage, Shares: SharePackage}
MAX_LENGTH = 10_000  # of a vector that a fuzzed round asks for, so that a case takes no time
NOBODY = 99
_OWN_WORD = (Asked, Confirmed, Released, Ended)


class Transition(NamedTuple):
    """A state of a party in a real run, and what it took there."""

    play: Play
    party: Party
    state: Any
    parcel: Parcel


@dataclass
class Corpus:
    """What real runs gave: transitions, encoded states, and encoded records by their type."""

    transitions: list[Transition] = field(default_factory=list)
    states: list[bytes] = field(default_factory=list)
    records: dict[type[Record], list[bytes]] = field(default_factory=dict)

    def note(self, record: Record) -> None:
        self.records.setdefault(type(record), []).append(record.encode())


@cache
def corpus() -> Corpus:
    result = Corpus()
    for play in (*runs(), sparse_run()):
        result.note(play.roster)
        result.note(play.schema)
        for party in play.parties.values():
            result.states += [encode_state(state) for state in {id(one): one for one in party.past}.values()]
            for state, parcel in party.taken:
                transition = Transition(play, party, state, parcel)
                result.transitions.append(transition)
                kind = MESSAGES[parcel.frame.kind]
                result.note(parcel.frame)
                result.note(kind.decode(opened(transition)))
                if kind in PACKAGES:
                    result.note(PACKAGES[kind].decode(parcel.payload))
    result.note(Floors())
    result.note(Mask(key=bytes(32), negate=True))
    return result


# Frames ------------------------------------------------------------------------------------------------------------


def fuzz_frame(rng: Random) -> str:
    """Hand a changed frame to a state that takes its kind, and say what became of it."""
    transition = rng.choice(corpus().transitions)
    parcel = changed(rng, transition)
    party = transition.party.copy()
    party.state = transition.state
    before = encode_state(party.state)
    try:
        party.receive_bytes(disturbed(rng, parcel.frame.encode()), parcel.payload)
    except ProtocolError as error:
        assert encode_state(party.state) == before, "a refused frame has changed the state"
        repr(error)
        return error.check
    assert decode_state(encode_state(party.state)) == party.state
    repr(party.state)
    go_on(rng, party)
    return "accepted"


def disturbed(rng: Random, data: bytes) -> bytes:
    """Now and then change the frame after it was signed, too."""
    return changed_bytes(rng, data, [data]) if rng.random() < 0.05 else data


def changed(rng: Random, transition: Transition) -> Parcel:
    """Return the transition's parcel with another content, signed, sealed and bound by the right keys."""
    frame, kind = transition.parcel.frame, MESSAGES[transition.parcel.frame.kind]
    body, payload = opened(transition), transition.parcel.payload
    if rng.random() < 0.4:
        body, payload = with_changed_payload(rng, transition, body)
    if rng.random() < 0.8:
        body = changed_body(rng, transition, kind, body)
    place = {
        "kind": frame.kind,
        "epoch": frame.epoch,
        "transcript": frame.transcript,
        "round_": frame.round,
        "sender": frame.sender,
        "recipient": frame.recipient,
    }
    if rng.random() < 0.1:
        name = rng.choice(list(place))
        place[name] = rng.randbytes(32) if name in {"epoch", "transcript"} else rng.choice((0, 1, 2, 3, 7, 20, 255))
    elif frame.kind == 1 and rng.random() < 0.9:
        place["epoch"] = d.epoch_hash(body)
    if kind.SEALED:
        body = seal(channel_key(transition), body, envelope.header(*place.values()))
    author = frame.sender if rng.random() < 0.97 else NOBODY
    body = body[: envelope.MAX_FRAME_BYTES - 256]
    return Parcel(transition.play.resign(frame, body, author=author, at=place), payload)


def changed_body(rng: Random, transition: Transition, kind: type[ProtocolMessage], body: bytes) -> bytes:
    """Return another body: a message with a field that is valid by its type, or bytes with a few changes."""
    if rng.random() < 0.6:
        with suppress(ParameterError, DecodeError):
            return changed_record(rng, kind.decode(body), lambda frame: signed_again(transition.play, frame)).encode()
    return changed_bytes(rng, body, rng.choice(list(corpus().records.values())))


def signed_again(play: Play, frame: Frame) -> Frame:
    """Sign a forwarded frame anew, in the name of whom it says; what has no header is signed as it was."""
    with suppress(ParameterError):
        return replace(play.resign(frame, frame.body), version=frame.version)
    return frame


def with_changed_payload(rng: Random, transition: Transition, body: bytes) -> tuple[bytes, bytes]:
    """Return a changed payload, and a body that binds it where that is possible."""
    kind, payload = MESSAGES[transition.parcel.frame.kind], transition.parcel.payload
    if kind in PACKAGES and rng.random() < 0.7:
        with suppress(ParameterError, DecodeError):
            package: Any = changed_record(rng, PACKAGES[kind].decode(payload), lambda frame: frame)
            slots = dict(sorted(package.slots.items())).values()
            message: Any = replace(kind.decode(body), root=merkle.root(slots))  # type: ignore[call-arg]
            if kind is Shares:
                site, first = transition.parcel.frame.sender, transition.state.rounds.start
                hashes = (d.vault_hash(transition.play.epoch, site, first + i, v) for i, v in enumerate(package.vaults))
                message = replace(message, vault_hashes=tuple(hashes))
            return message.encode(), package.encode()
    return body, changed_bytes(rng, payload, [payload, b"payload"])


def opened(transition: Transition) -> bytes:
    """Return a frame's message, unsealed."""
    frame = transition.parcel.frame
    return unseal(channel_key(transition), frame.body, frame.header()) if MESSAGES[frame.kind].SEALED else frame.body


def channel_key(transition: Transition) -> bytes:
    """Return the key of a sealed message, from the state that takes it."""
    state, frame = transition.state, transition.parcel.frame
    match MESSAGES[frame.kind]:
        case kind if kind is Open:
            idle = state if isinstance(state, pr.AwaitOpen) else state.idle
            chain = idle.channel_chain
            for passed in range(idle.next_round, frame.round):
                chain = d.next_channel_chain(chain, passed, frame.epoch)
            return d.channel_key(chain, frame.round, Open.KIND, frame.epoch)
        case kind if kind is Result:
            return state.result_key
        case kind if kind is Opening:
            return state.current.result_key
        case kind:
            return getattr(state.current.keys[frame.sender], {Decline: "decline"}.get(kind, "answer"))


EVENTS: tuple[Event, ...] = (Tick(0), Tick(2**63), DeclineRound("no"), Confirm(), Withhold(), Close(), Abandon())


def go_on(rng: Random, party: Party) -> None:
    """Tell a party that took a changed frame what its driver might tell it next."""
    events = [event for event in EVENTS if (type(party.state), type(event)) in TABLE]
    if isinstance(party.state, pr.AwaitVector) and party.state.current.schema.length <= MAX_LENGTH:
        events.append(Contribute([0.0] * party.state.current.schema.length))
    if events:
        with suppress(SecaggError):
            party.tell(rng.choice(events))


# Decoders ----------------------------------------------------------------------------------------------------------


def fuzz_decoder(rng: Random) -> str:
    """Hand changed bytes to a decoder."""
    kind = rng.choice(list(corpus().records))
    data = changed_bytes(rng, rng.choice(corpus().records[kind]), rng.choice(list(corpus().records.values())))
    try:
        record = kind.decode(data)
    except DecodeError as error:
        return error.check
    assert record.encode() == data, "two byte strings decode to one record"
    repr(record)
    return "accepted"


def fuzz_state(rng: Random) -> str:
    """Hand changed bytes to the decoder of stored states."""
    data = changed_bytes(rng, rng.choice(corpus().states), corpus().states)
    try:
        state = decode_state(data)
    except DecodeError as error:
        return error.check
    assert encode_state(state) == data, "two byte strings decode to one state"
    repr(state)
    return "accepted"


def fuzz_vector(rng: Random) -> str:
    """Hand a changed payload, or another schema, to the decoder of sealed vectors."""
    transition = rng.choice([one for one in corpus().transitions if one.parcel.frame.kind == Upload.KIND])
    current, site = transition.state.current, transition.parcel.frame.sender
    schema: Any = current.schema
    if rng.random() < 0.3:
        schema = changed_record(rng, schema, lambda frame: frame)
        try:
            schema.check(3)
        except SecaggError:
            return "no schema"
    payload = transition.parcel.payload
    payload = changed_bytes(rng, payload, [payload]) if rng.random() < 0.9 else payload
    bound = d.vector_bound(transition.play.epoch, Upload.KIND, site, current.round, current.context)
    root = Upload.decode(transition.parcel.frame.body).root
    try:
        open_vector(payload, schema, current.keys[site].upload, bound, root)
    except VectorError:
        return "refused"
    return "accepted"


def fuzz_receipt(rng: Random) -> str:
    """Hand over a receipt with another entry, chained and signed anew: the coordinator's own word alone may differ."""
    written, identity = receipts.contents(rng.choice(list(receipts.PLAYS)))
    entries, at = list(written), rng.randrange(len(written))
    if rng.random() < 0.8:
        entries[at] = changed_record(rng, entries[at], lambda frame: frame)
    else:
        entries.insert(rng.randrange(len(entries)), entries.pop(at))
    try:
        data = signed(receipts.chain(entries), identity).encode()
        verify_receipt(read(changed_bytes(rng, data, [data]) if rng.random() < 0.2 else data))
    except ParameterError:
        return "no receipt"
    except ReceiptError as error:
        return "refused" if error.entry is None else "entry refused"
    # Its own word: a query that nobody answered, a sum's root, the end; and it may show fewer signatures than it has.
    signed_by_all, before = ([one for one in of if not isinstance(one, _OWN_WORD)] for of in (entries, written))
    assert signed_by_all == before, "a receipt holds with another entry that its sites signed"
    return "accepted"


TARGETS: dict[str, tuple[int, Callable[[Random], str]]] = {
    "frame": (6, fuzz_frame),
    "decoder": (3, fuzz_decoder),
    "state": (2, fuzz_state),
    "vector": (1, fuzz_vector),
    "receipt": (1, fuzz_receipt),
}
"""Each target with its weight: frames are the slow ones and the ones that matter."""


def run_case(seed: int, number: int) -> tuple[str, str]:
    """Run one case, which seed and number decide, and return its target and outcome."""
    rng = Random(f"{seed}:{number}")
    (name,) = rng.choices(list(TARGETS), [weight for weight, _ in TARGETS.values()])
    return name, TARGETS[name][1](rng)
