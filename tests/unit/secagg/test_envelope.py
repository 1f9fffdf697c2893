"""Frames: the signed content, the slot, and bytes that do not parse."""

from dataclasses import replace

import pytest

from secagg import envelope
from secagg.codec import tagged_hash
from secagg.envelope import EVERYONE, MAX_FRAME_BYTES, Frame, Slot, parse, sign
from secagg.errors import DecodeError, ParameterError
from secagg.identity import Identity, InvalidSignatureError

AUTHOR = Identity(b"a" * 32)
FRAME = sign(AUTHOR, b"body", kind=18, epoch=b"e" * 32, transcript=b"t" * 32, round_=7, sender=3, recipient=EVERYONE)
HEADER = bytes.fromhex("01 12") + b"e" * 32 + b"t" * 32 + bytes.fromhex("00000007 0003 ffff")


def test_layout():
    assert FRAME.header() == HEADER
    assert FRAME.encode() == HEADER + b"\0\0\0\4body" + FRAME.signature
    assert parse(FRAME.encode()) == FRAME


def test_slot():
    assert FRAME.slot == Slot(b"e" * 32, 7, 18, 3, EVERYONE)
    assert replace(FRAME, body=b"other", transcript=bytes(32)).slot == FRAME.slot


def test_the_signature_is_over_header_and_body():
    assert FRAME.signed_hash() == tagged_hash("frame", HEADER, b"body")
    FRAME.verify(AUTHOR.public)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 19},
        {"epoch": bytes(32)},
        {"transcript": bytes(32)},
        {"round": 8},
        {"sender": 4},
        {"recipient": 3},
        {"body": b"bodz"},
        {"body": b""},
        {"signature": bytes(64)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_is_signed(change):
    with pytest.raises(InvalidSignatureError):
        replace(FRAME, **change).verify(AUTHOR.public)


def test_another_key_did_not_sign():
    with pytest.raises(InvalidSignatureError):
        FRAME.verify(Identity(b"b" * 32).public)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_not_read(version):
    with pytest.raises(DecodeError, match="V-0106"):
        parse(bytes([version]) + FRAME.encode()[1:])


def test_the_largest_frame():
    largest = sign(AUTHOR, bytes(MAX_FRAME_BYTES - 256), kind=1, epoch=bytes(32), sender=0)
    assert parse(largest.encode()) == largest
    with pytest.raises(ParameterError):
        sign(AUTHOR, bytes(MAX_FRAME_BYTES - 255), kind=1, epoch=bytes(32), sender=0)
    with pytest.raises(DecodeError, match="V-0103"):
        parse(bytes(MAX_FRAME_BYTES + 1))


@pytest.mark.parametrize(
    "wrong",
    [{"kind": 256}, {"round_": 2**32}, {"sender": 65_536}, {"recipient": -1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_header_that_has_no_encoding(wrong):
    with pytest.raises(ParameterError):
        sign(AUTHOR, b"", **({"kind": 1, "epoch": bytes(32), "sender": 0} | wrong))


def test_defaults_are_those_of_a_site_in_the_setup():
    frame = sign(AUTHOR, b"", kind=2, epoch=bytes(32), sender=1)
    assert (frame.round, frame.recipient, frame.transcript) == (0, envelope.COORDINATOR, envelope.NO_TRANSCRIPT)
    assert Frame.decode(frame.encode()) == frame
