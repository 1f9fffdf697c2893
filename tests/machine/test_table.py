"""The transition table is complete: it has every state, each survives encoding and accepts only listed messages."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest

from secagg import envelope
from secagg.errors import DecodeError, ParameterError, StateError, UnexpectedMessageError
from secagg.messages import MESSAGES
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import (
    Abandon,
    Ask,
    Close,
    Confirm,
    Contribute,
    DeclineRound,
    Publish,
    Release,
    Tick,
    Withhold,
)
from secagg.protocol.table import STATES, TABLE, decode_state, encode_state, receive, tell
from tests.support.playbook import QUERY, ROUND_DEADLINE, SCHEMA
from tests.support.states import frames, runs, states

EVENTS = (
    Tick(0),
    Contribute([0.0, 0.0, 0.0]),
    DeclineRound("no"),
    Confirm(),
    Release(),
    Withhold(),
    Close(),
    Ask(QUERY, SCHEMA, ROUND_DEADLINE),
    Publish(RingVector.zeros(SCHEMA)),
    Abandon(),
)
each_state = pytest.mark.parametrize("kind", STATES, ids=lambda kind: f"{kind.__module__[-17:]}.{kind.__name__}")


def test_the_honest_runs_go_through_every_state_and_send_every_message():
    assert set(states()) == set(STATES)
    assert set(frames()) == set(MESSAGES.values())
    assert {type(event) for event in EVENTS} == {event for _, event in TABLE if event not in MESSAGES.values()}


def test_every_state_of_the_table_has_a_number():
    assert {state for state, _ in TABLE} <= set(STATES)
    assert len(set(STATES)) == len(STATES)


@each_state
def test_message_that_is_not_in_the_table(kind):
    """Signed or not, from whomever: what a state does not take is refused before anything else is looked at."""
    party, state = states()[kind]
    before = encode_state(state)
    refused = [message for message in MESSAGES.values() if (kind, message) not in TABLE]
    assert refused
    for message in refused:
        with pytest.raises(UnexpectedMessageError) as caught:
            receive(state, frames()[message].encode(), party.inputs())
        assert (caught.value.check, caught.value.party) == ("V-0001", None)
        assert encode_state(state) == before


@each_state
def test_event_that_is_not_in_the_table(kind):
    party, state = states()[kind]
    before = encode_state(state)
    denied = [event for event in EVENTS if (kind, type(event)) not in TABLE]
    assert denied
    for event in denied:
        with pytest.raises(StateError):
            tell(state, event, party.inputs())
        assert encode_state(state) == before


@each_state
def test_every_state_comes_back_from_its_encoding(kind):
    for play in runs():
        for party in play.parties.values():
            for state in (one for one in (*party.past, party.state) if type(one) is kind):
                data = encode_state(state)
                assert decode_state(data) == state
                assert encode_state(decode_state(data)) == data


@each_state
def test_a_stored_state_that_was_cut_or_extended_is_none(kind):
    data = encode_state(states()[kind][1])
    for wrong in (data[:-1], data + b"\0", data[: len(data) // 2], data[:1]):
        with pytest.raises(DecodeError):
            decode_state(wrong)


def leaves(value: Any) -> list[bytes]:
    """Return every byte string in a record, however deep."""
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, np.ndarray):
        return [value.tobytes()]
    if is_dataclass(value):
        return [leaf for field in fields(value) for leaf in leaves(getattr(value, field.name))]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, tuple) else []


def assert_unsaid(said: str, value: Any) -> None:
    """Assert that a text shows none of the byte strings in a value, in whatever notation."""
    for leaf in leaves(value):
        for piece in (leaf[i : i + 8] for i in range(0, max(1, len(leaf) - 8), 8)):
            if len(piece) == 8 and len(set(piece)) > 1:
                assert piece.hex() not in said
                assert repr(piece)[2:-1] not in said
                assert str(list(piece))[1:-1] not in said


def test_the_search_finds_bytes_that_are_said():
    for said in ("..6f6e6520736563726574..", "Key(b'one secret')", "[111, 110, 101, 32, 115, 101, 99, 114, 101, 116]"):
        with pytest.raises(AssertionError):
            assert_unsaid(said, b"one secret")


@each_state
def test_no_state_says_a_byte(kind):
    _, state = states()[kind]
    assert_unsaid(repr(state) + str(state) + f"{state}", state)


def test_no_effect_and_no_means_say_a_byte():
    for play in runs():
        for party in play.parties.values():
            assert_unsaid(repr(party.inputs()), {0: party.inputs().rand, 1: party.seed})
            for effect in party.effects:
                assert_unsaid(repr(effect), effect)


@each_state
def test_no_error_says_a_byte(kind):
    """Every frame of every run, whole and damaged, at every state."""
    party, state = states()[kind]
    for frame in frames().values():
        data = frame.encode()
        place = {"kind": frame.kind, "epoch": frame.epoch, "round_": frame.round}
        cut = envelope.sign(party.identity, frame.body[:-3], sender=frame.sender, recipient=frame.recipient, **place)
        for bad in (data, data[:-1], data[:100] + b"\xff" * 8 + data[108:], cut.encode()):
            try:
                receive(state, bad, party.inputs(), b"payload")
            except Exception as error:  # noqa: BLE001 whatever it is, it must not speak
                assert_unsaid(f"{error!r} {error}", state)


@pytest.mark.parametrize("bad", [[float("nan"), 0, 0], [0, 0], [1e9] * 4, [[0, 0, 0]]])
def test_no_error_says_a_vector(bad):
    party, state = next((p, s) for kind, (p, s) in states().items() if kind.__name__ == "AwaitVector")
    with pytest.raises(ParameterError) as caught:
        tell(state, Contribute(bad), party.inputs())
    assert "1000000000" not in str(caught.value)
    assert "nan" not in str(caught.value)
