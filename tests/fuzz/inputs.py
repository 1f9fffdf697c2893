"""Inputs of the coverage-guided fuzzer: a first byte that selects a target, and the bytes for it.

The first byte is a message's kind, for that message's decoder; a kind plus 128, for the same bytes as the body of a
correctly signed and sealed frame that is passed to a state machine of a real run; a kind plus 192, for a machine of a
run on a sparse graph; or one of the numbers below. The numbers never change, so that the inputs kept in `corpus/` keep
their meaning.
"""

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from secagg import keys
from secagg.codec import Record
from secagg.envelope import Frame, header
from secagg.errors import ProtocolError
from secagg.identity import Roster
from secagg.masks import Mask
from secagg.messages import (
    MESSAGES,
    Decline,
    EncapsulationPackage,
    Encapsulations,
    Manifest,
    Opened,
    Opening,
    PrekeyList,
    ProtocolMessage,
    Result,
    SealedShares,
    SharePackage,
    Shares,
    Upload,
)
from secagg.params import Floors, Schema
from secagg.protocol import derivations as d
from secagg.protocol.table import decode_state, encode_state
from tests.fuzz.targets import Transition, channel_key, corpus, opened

KEPT = Path(__file__).parent / "corpus"
MAX_BYTES = 16_384

IN_A_FRAME, ON_A_GRAPH = 128, 192
STATE, RAW_FRAME = 64, 65
PAYLOADS: dict[int, type[ProtocolMessage]] = {63: Result, 66: Upload, 67: PrekeyList, 68: Encapsulations, 69: Shares}
OTHERS: dict[int, type[Record]] = {
    70: Frame,
    71: Roster,
    72: Schema,
    73: EncapsulationPackage,
    74: SharePackage,
    75: Floors,
    76: Mask,
}
ON_GRAPHS = set(MESSAGES) - {Decline.KIND, SealedShares.KIND, Opening.KIND, Opened.KIND}


def run_input(data: bytes) -> str:
    """Hand an input to its decoder, which must refuse it with a ProtocolError or take it; return what it did."""
    if not data:
        return "nothing"
    first, rest = data[0], data[1:]
    kind = MESSAGES.get(first) or OTHERS.get(first)
    try:
        if kind is not None:
            assert kind.decode(rest).encode() == rest, "two byte strings decode to one record"
        elif first == STATE:
            assert encode_state(decode_state(rest)) == rest, "two byte strings decode to one state"
        elif first == RAW_FRAME:
            _receive(_transition(Manifest.KIND), rest, b"")
        elif first in PAYLOADS:
            transition = _with_payload(PAYLOADS[first])
            _receive(transition, transition.parcel.frame.encode(), rest)
        elif first - IN_A_FRAME in MESSAGES:
            _receive_body(_transition(first - IN_A_FRAME), rest)
        elif first - ON_A_GRAPH in ON_GRAPHS:
            _receive_body(_transition(first - ON_A_GRAPH, sparse=True), rest)
        else:
            return "nothing"
    except ProtocolError as error:
        return error.check
    return "accepted"


def seeds() -> Iterator[bytes]:
    """Yield an honest input of every kind."""
    for number, kind in (MESSAGES | OTHERS).items():
        if kind in corpus().records:
            yield bytes([number]) + min(corpus().records[kind], key=len)
    states = {type(decode_state(state)): state for state in sorted(corpus().states, key=len, reverse=True)}
    yield from (bytes([STATE]) + state for state in states.values())
    yield bytes([RAW_FRAME]) + _transition(Manifest.KIND).parcel.frame.encode()
    yield from (bytes([number]) + _with_payload(kind).parcel.payload for number, kind in PAYLOADS.items())
    yield from (bytes([IN_A_FRAME + number]) + opened(_transition(number)) for number in MESSAGES)
    yield from (bytes([ON_A_GRAPH + number]) + opened(_transition(number, sparse=True)) for number in ON_GRAPHS)


def write(data: bytes, folder: Path) -> None:
    """Put an input into a folder, under the name that it has there."""
    (folder / sha256(data).hexdigest()[:16]).write_bytes(data)


@cache
def _transition(kind: int, *, sparse: bool = False) -> Transition:
    return next(one for one in corpus().transitions if one.parcel.frame.kind == kind and one.play.is_sparse is sparse)


def _with_payload(kind: type[ProtocolMessage]) -> Transition:
    return _transition(kind.KIND, sparse=kind is PrekeyList)


def _receive_body(transition: Transition, body: bytes) -> None:
    frame = transition.parcel.frame
    epoch = d.epoch_hash(body) if frame.kind == Manifest.KIND else frame.epoch
    if MESSAGES[frame.kind].SEALED:
        place = header(frame.kind, epoch, frame.transcript, frame.round, frame.sender, frame.recipient)
        body = keys.seal(channel_key(transition), body, place)
    signed = transition.play.resign(frame, body, at={"epoch": epoch})
    _receive(transition, signed.encode(), transition.parcel.payload)


def _receive(transition: Transition, data: bytes, payload: bytes) -> None:
    party = transition.party.copy()
    party.state = transition.state
    before = encode_state(party.state)
    try:
        party.receive_bytes(data, payload)
    except ProtocolError:
        assert encode_state(transition.state) == before, "a refused frame has changed the state"
        raise
    assert decode_state(encode_state(party.state)) == party.state
