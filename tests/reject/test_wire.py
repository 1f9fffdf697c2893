"""V-0001, V-01xx: bytes that are not a message, and messages out of place."""

import pytest

from secagg.codec import Record
from secagg.envelope import MAX_FRAME_BYTES, Frame, parse
from secagg.errors import (
    DecodeError,
    FaultyCoordinatorError,
    FaultyParticipantError,
    UnexpectedMessageError,
)
from secagg.masks import Mask
from secagg.messages import (
    Cohort,
    Decline,
    Join,
    Manifest,
    Open,
    PrekeyList,
    Prekeys,
    Quorum,
    Ready,
    Receipt,
    Result,
    Survivors,
    Unmask,
    Upload,
)
from secagg.params import Floors, Schema, Segment
from secagg.protocol.step import Contribute, Tick
from secagg.protocol.table import STATES, decode_state, encode_state
from tests.support.playbook import EXPIRES, SCHEMA, at


def decodes_not(kind: type[Record], data: bytes, check: str) -> None:
    with pytest.raises(DecodeError) as caught:
        kind.decode(data)
    assert caught.value.check == check


@pytest.mark.parametrize("kind", [Manifest, PrekeyList, Quorum, Survivors])
def test_V_0001_message_in_another_state(kind):
    early = at(Cohort)
    late = at(kind)
    early.refuses(1, late.parcel(kind), UnexpectedMessageError, "V-0001")


def test_V_0001_list_twice():
    """Pitfall 19, recipe 21: what was taken once is not taken again."""
    play = at(Prekeys)
    play.refuses(1, play.parcel(Cohort), UnexpectedMessageError, "V-0001")


def test_V_0001_closed_epoch_takes_nothing():
    play = at(Ready)
    play.parties[1].tell(Tick(EXPIRES))
    play.refuses(1, play.parcel(Ready), UnexpectedMessageError, "V-0001")


@pytest.mark.parametrize("kind", [Survivors, Quorum, Result])
def test_V_0001_upload_after_the_survivors_were_proposed(kind):
    """Pitfall 25: what comes late is in no sum."""
    play = at(Open, n=4)
    play.present.discard(4)
    lost = play.copy().parties[4]
    lost.receive(play.parcel(Open, to=4))
    (late,) = lost.tell(Contribute(play.vectors[4]))
    play.until(kind)
    play.refuses(0, late, UnexpectedMessageError, "V-0001")


@pytest.mark.parametrize("kind", [Quorum, Result])
def test_V_0001_second_set_of_survivors(kind):
    """Pitfalls 2 and 27, recipes 15 and 16: one set a round is signed, and one is answered for."""
    play = at(Survivors, n=4)
    smaller = play.forge_list(Survivors, play.listed(Survivors)[:3])
    play.until(kind)
    play.refuses(1, smaller, UnexpectedMessageError, "V-0001")
    play.refuses(1, play.parcel(Survivors), UnexpectedMessageError, "V-0001")


@pytest.mark.parametrize("kind", [Open, Upload, Survivors])
def test_V_0001_answer_asked_for_before_its_time(kind):
    """Recipe 16: nothing is unmasked before the site has uploaded, and signed whom it will unmask."""
    later = at(Quorum, n=4)
    at(kind, n=4).refuses(1, later.parcel(Quorum), UnexpectedMessageError, "V-0001")


def test_V_0001_answer_asked_for_twice():
    """Pitfall 27, recipe 16."""
    play = at(Result, n=4)
    play.refuses(1, play.parcel(Quorum), UnexpectedMessageError, "V-0001")


def test_V_0001_own_message_reflected():
    """Pitfall 19, recipe 17: a site's own message is none that it takes."""
    play = at(Join)
    play.refuses(1, play.parcel(Join, 1), UnexpectedMessageError, "V-0001")


def test_V_0101_frame_truncated_anywhere():
    """Recipe 25."""
    play = at(Cohort)
    data = play.frame(Cohort).encode()
    for size in range(len(data)):
        play.refuses(1, data[:size], DecodeError, "V-0101")


def test_V_0101_body_truncated():
    play = at(Cohort)
    frame = play.frame(Cohort)
    play.refuses(1, play.resign(frame, frame.body[:-1]).encode(), FaultyCoordinatorError, "V-0101")


def test_V_0101_sealed_body_truncated():
    play = at(Unmask)
    frame = play.frame(Unmask, 2)
    short = play.resign(frame, play.message(Unmask, 2).encode()[:-1], key=play.key(Unmask, 2))
    play.refuses(0, short.encode(), FaultyParticipantError, "V-0101", blames=2)


def test_V_0101_length_that_lies():
    """Recipe 25: a count is believed no further than there are bytes: a count of the limit costs nothing."""
    play = at(Cohort)
    frame = play.frame(Cohort)
    lie = (65_534).to_bytes(4, "big") + frame.body[4:]
    play.refuses(1, play.resign(frame, lie).encode(), FaultyCoordinatorError, "V-0101")


def test_V_0102_bytes_after_the_frame():
    """Recipe 25."""
    play = at(Cohort)
    play.refuses(1, play.frame(Cohort).encode() + b"\0", DecodeError, "V-0102")


def test_V_0102_bytes_after_the_body():
    """Recipe 25."""
    play = at(Join)
    frame = play.frame(Join, 2)
    play.refuses(0, play.resign(frame, frame.body + b"\0").encode(), FaultyParticipantError, "V-0102", blames=2)


def test_V_0102_bytes_after_the_sealed_body():
    play = at(Open)
    frame = play.frame(Open)
    longer = play.resign(frame, play.message(Open).encode() + b"\0", key=play.key(Open, 1))
    play.refuses(1, longer.encode(), FaultyCoordinatorError, "V-0102")


def test_V_0103_frame_beyond_the_limit():
    """Recipe 25."""
    play = at(Cohort)
    play.refuses(1, bytes(MAX_FRAME_BYTES + 1), DecodeError, "V-0103")


def test_V_0103_body_beyond_the_limit():
    play = at(Cohort)
    data = bytearray(play.frame(Cohort).encode())
    data[74:78] = (MAX_FRAME_BYTES + 1).to_bytes(4, "big")
    play.refuses(1, bytes(data), DecodeError, "V-0103")


def test_V_0103_count_beyond_the_limit():
    """Recipe 25."""
    play = at(Cohort)
    frame = play.frame(Cohort)
    many = (65_535).to_bytes(4, "big") + frame.body[4:]
    play.refuses(1, play.resign(frame, many).encode(), FaultyCoordinatorError, "V-0103")


@pytest.mark.parametrize("position", [0, 1, 2], ids=["suite", "profile", "loss rule"])
def test_V_0104_enumeration_unknown(position):
    """Recipe 25: there are two suites."""
    play = at(Manifest)
    frame = play.frame(Manifest)
    body = bytearray(frame.body)
    body[position] = 9
    play.refuses(1, play.resign(frame, bytes(body)).encode(), FaultyCoordinatorError, "V-0104")


@pytest.mark.parametrize("clip", ["7ff0000000000000", "7ff8000000000001", "8000000000000000"], ids=["inf", "nan", "-0"])
def test_V_0104_number_without_a_place_on_the_wire(clip):
    """Recipes 24 and 25."""
    play = at(Open)
    body = play.message(Open).encode()
    honest = Segment(count=3, clip=8.0, step=0.0625).encode()
    wrong = honest[:4] + bytes.fromhex(clip) + honest[12:]
    frame = play.resign(play.frame(Open), body.replace(honest, wrong), key=play.key(Open, 1))
    play.refuses(1, frame.encode(), FaultyCoordinatorError, "V-0104")
    decodes_not(Schema, SCHEMA.encode().replace(honest, wrong), "V-0104")


@pytest.mark.parametrize("reason", [b"caf\xc3\xa9", b"\x1b[2J", b"line\n", b"\x7f"])
def test_V_0104_text_that_is_not_printable(reason):
    """Recipe 25."""
    play = at(Upload)
    frame = play.write(Decline(reason=""), play.frame(Upload, 2))
    body = len(reason).to_bytes(4, "big") + reason
    declined = play.resign(frame, body, key=play.key(Decline, 2))
    play.refuses(0, declined.encode(), FaultyParticipantError, "V-0104", blames=2)


def test_V_0104_flag_beyond_one():
    decodes_not(Mask, bytes(32) + b"\2", "V-0104")


def test_V_0104_stored_state_with_an_unknown_profile():
    with pytest.raises(DecodeError, match="V-0104"):
        decode_state(encode_state(at(Manifest).state(1)).replace(Floors().encode(), b"\7" + Floors().encode()[1:]))


@pytest.mark.parametrize("accepted", [(3, 2), (2, 2)], ids=["descending", "twice"])
def test_V_0105_set_that_does_not_ascend(accepted):
    """Recipe 25."""
    play = at(Receipt)
    body = b"".join([(2).to_bytes(4, "big"), *(i.to_bytes(2, "big") for i in accepted), bytes(4)])
    frame = play.resign(play.frame(Receipt, 1), body)
    play.refuses(0, frame.encode(), FaultyParticipantError, "V-0105", blames=1)
    decodes_not(Receipt, body, "V-0105")


@pytest.mark.parametrize("sites", [(2, 1, 3), (1, 1, 2)], ids=["descending", "twice"])
def test_V_0105_map_that_does_not_ascend(sites):
    """Recipe 25."""
    play = at(Unmask)
    body = (3).to_bytes(4, "big") + b"".join(site.to_bytes(2, "big") + bytes(32) for site in sites)
    frame = play.resign(play.frame(Unmask, 2), body, key=play.key(Unmask, 2))
    play.refuses(0, frame.encode(), FaultyParticipantError, "V-0105", blames=2)
    decodes_not(Unmask, body, "V-0105")


def test_V_0106_another_version():
    """Recipe 25."""
    play = at(Cohort)
    play.refuses(1, b"\2" + play.frame(Cohort).encode()[1:], DecodeError, "V-0106")


@pytest.mark.parametrize("kind", [0, 12, 27, 255])
def test_V_0107_unknown_kind(kind):
    """Recipe 25."""
    play = at(Cohort)
    play.refuses(1, play.forge(Cohort, at={"kind": kind}), DecodeError, "V-0107")


@pytest.mark.parametrize("data", [b"", b"\xff", bytes([len(STATES)])])
def test_V_0107_unknown_state(data):
    with pytest.raises(DecodeError, match="V-0107"):
        decode_state(data)


def test_version_is_read_before_anything_is_trusted():
    frame = at(Cohort).frame(Cohort)
    assert parse(frame.encode()) == Frame.decode(frame.encode()) == frame
