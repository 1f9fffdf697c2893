"""Canonical bytes: every value has one encoding, and every other byte string is refused."""

from dataclasses import replace
from enum import IntEnum
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import codec
from secagg.codec import (
    U8,
    U16,
    U32,
    U64,
    Ascending,
    Blob,
    Choice,
    Double,
    Encoded,
    Fixed,
    Flag,
    Kept,
    Map,
    Nested,
    Record,
    Seq,
    Source,
    Text,
    record,
)
from secagg.errors import DecodeError, ParameterError
from secagg.messages import MESSAGES
from secagg.protocol.table import STATES


class Colour(IntEnum):
    RED = 1
    DARK_BLUE = 7


@record
class Inner(Record):
    index: Annotated[int, U16]
    colour: Colour


@record
class Outer(Record):
    name: Annotated[str, Text(8)]
    inner: Inner
    items: Annotated[tuple[Inner, ...], Seq(Nested(Inner), 3)]
    weights: Annotated[dict[int, float], Map(U8, Double(), 3)]
    last: Annotated[bytes, Blob(4)]


OUTER = Outer(
    name="a b~",
    inner=Inner(index=258, colour=Colour.DARK_BLUE),
    items=(Inner(index=0, colour=Colour.RED),),
    weights={3: -1.5, 1: 0.0},
    last=b"\xff",
)
BYTES = bytes.fromhex(
    "00000004 6120627e"  # name
    "0102 07"  # inner
    "00000001 0000 01"  # items
    "00000002 01 0000000000000000 03 bff8000000000000"  # weights, by key
    "00000001 ff"  # last
)


def test_a_record_is_its_fields_in_order():
    assert OUTER.encode() == BYTES
    assert Outer.decode(BYTES) == OUTER
    assert list(Outer.decode(BYTES).weights) == [1, 3]


@pytest.mark.parametrize("size", range(len(BYTES)))
def test_every_shorter_string_is_refused(size):
    with pytest.raises(DecodeError) as caught:
        Outer.decode(BYTES[:size])
    assert caught.value.check == "V-0101"


def test_longer_strings_are_refused():
    with pytest.raises(DecodeError, match="V-0102: at byte 45: 2 bytes follow"):
        Outer.decode(BYTES + b"\0\0")


@settings(deadline=None, database=None, max_examples=400)
@given(st.integers(0, len(BYTES) - 1), st.integers(0, 255))
def test_what_decodes_at_all_encodes_to_the_same_bytes(at, value):
    changed = BYTES[:at] + bytes([value]) + BYTES[at + 1 :]
    try:
        decoded = Outer.decode(changed)
    except DecodeError:
        return
    assert decoded.encode() == changed


@settings(deadline=None, database=None, max_examples=300)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_record_or_a_decode_error(data):
    try:
        decoded = Outer.decode(data)
    except DecodeError:
        return
    assert decoded.encode() == data


WIRES = [
    (U8, st.integers(0, 2**8 - 1)),
    (U16, st.integers(0, 2**16 - 1)),
    (U32, st.integers(0, 2**32 - 1)),
    (U64, st.integers(0, 2**64 - 1)),
    (Double(), st.floats(allow_nan=False, allow_infinity=False)),
    (Fixed(5), st.binary(min_size=5, max_size=5)),
    (Blob(9), st.binary(max_size=9)),
    (Text(9), st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=9)),
    (Flag(), st.booleans()),
    (Choice(Colour), st.sampled_from(Colour)),
    (Seq(U16, 4), st.lists(st.integers(0, 2**16 - 1), max_size=4).map(tuple)),
    (Ascending(U8, 6), st.sets(st.integers(0, 255), max_size=6).map(sorted).map(tuple)),
    (Map(U8, Flag(), 6), st.dictionaries(st.integers(0, 255), st.booleans(), max_size=6)),
    (Seq(Fixed(2), 4), st.lists(st.binary(min_size=2, max_size=2), max_size=4).map(tuple)),
    (Encoded(Outer), st.just(OUTER.encode())),
]


@settings(deadline=None, database=None)
@given(st.data())
@pytest.mark.parametrize(("wire", "values"), WIRES, ids=lambda item: getattr(item, "describe", lambda: "")())
def test_every_wire_type_reads_what_it_writes(wire, values, data):
    value = data.draw(values)
    out = bytearray()
    wire.write(out, value)
    source = Source(bytes(out))
    assert wire.read(source) == value
    assert source.at == len(out)
    source = Source(bytes(out) + b"more")
    wire.skip(source)
    assert source.at == len(out)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (U8, 256),
        (U8, -1),
        (U16, 65_536),
        (U32, 2**32),
        (U64, 2**64),
        (Double(), float("nan")),
        (Double(), float("inf")),
        (Fixed(4), b"abc"),
        (Fixed(4), b"abcde"),
        (Blob(3), b"abcd"),
        (Text(3), "abcd"),
        (Text(9), "é"),
        (Text(9), "a\n"),
        (Text(9), "\x7f"),
        (Seq(U8, 2), (1, 2, 3)),
        (Ascending(U8, 9), (1, 1)),
        (Ascending(U8, 9), (2, 1)),
        (Ascending(U8, 1), (1, 2)),
        (Ascending(U8, 9), (1, 256)),
        (Ascending(U8, 9), (-1, 1)),
        (Map(U8, U8, 1), {1: 1, 2: 2}),
        (Map(U8, U8, 9), {256: 1}),
        (Map(U8, U8, 9), {1: 256}),
    ],
)
def test_what_has_no_encoding_is_refused(wire, value):
    with pytest.raises(ParameterError):
        wire.write(bytearray(), value)


@pytest.mark.parametrize(
    ("wire", "data", "check"),
    [
        (Blob(3), "00000004 61626364", "V-0103"),
        (Text(3), "00000004 61626364", "V-0103"),
        (Seq(U8, 2), "00000003 010203", "V-0103"),
        (Seq(U64, 10**9), "3b9aca00", "V-0101"),
        (Map(U8, U8, 1), "00000002 01010202", "V-0103"),
        (Ascending(U8, 1), "00000002 0102", "V-0103"),
        (Flag(), "02", "V-0104"),
        (Choice(Colour), "02", "V-0104"),
        (Text(9), "00000001 7f", "V-0104"),
        (Text(9), "00000001 1f", "V-0104"),
        (Text(9), "00000002 c3a9", "V-0104"),
        (Double(), "7ff0000000000000", "V-0104"),
        (Double(), "fff8000000000000", "V-0104"),
        (Double(), "8000000000000000", "V-0104"),
        (Ascending(U8, 9), "00000002 0101", "V-0105"),
        (Ascending(U8, 9), "00000002 0201", "V-0105"),
        (Map(U8, U8, 9), "00000002 0101 0101", "V-0105"),
        (Map(U8, U8, 9), "00000002 0201 0101", "V-0105"),
        (Nested(Inner), "0000", "V-0101"),
        (Encoded(Inner), "0000", "V-0101"),
        (Encoded(Inner), "0000 02", "V-0104"),
        (Fixed(2), "00", "V-0101"),
        (Seq(Fixed(2), 2), "00000001 00", "V-0101"),
        (Seq(Fixed(2), 2), "00000003 000000000000", "V-0103"),
        (Blob(3), "00000003 6162", "V-0101"),
        (Blob(3), "000000", "V-0101"),
    ],
)
def test_what_is_no_encoding_is_refused(wire, data, check):
    for take in (wire.read, wire.skip):
        with pytest.raises(DecodeError) as caught:
            take(Source(bytes.fromhex(data)))
        assert caught.value.check == check


def test_minus_zero_is_written_as_zero():
    out = bytearray()
    Double().write(out, -0.0)
    assert out == bytes(8)


def test_map_key_zero_is_a_key():
    assert Map(U8, U8, 9).read(Source(bytes.fromhex("00000001 0005"))) == {0: 5}


def test_hashes_of_different_fields_differ():
    """Lengths stand before the parts: nothing moves from one field to the next, and labels are apart."""
    hashes = [
        codec.tagged_hash("ab", b"c", b"d"),
        codec.tagged_hash("ab", b"cd"),
        codec.tagged_hash("ab", b"", b"cd"),
        codec.tagged_hash("ab", b"cd", b""),
        codec.tagged_hash("abc", b"d"),
        codec.tagged_hash("a", b"bcd"),
        codec.tagged_hash("ab"),
    ]
    assert len(set(hashes)) == len(hashes)


def test_tag_and_prefixes():
    assert codec.tag("pair") == b"secagg/1 pair\0"
    assert codec.prefixed(b"abc", b"") == b"\0\0\0\3abc\0\0\0\0"
    assert codec.prefixed() == b""
    assert (codec.u16(258), codec.u32(258)) == (b"\1\2", b"\0\0\1\2")


def test_a_field_without_a_wire_type_is_a_mistake_of_ours():
    @record
    class Wrong(Record):
        field: int

    with pytest.raises(TypeError, match="does not name a wire type"):
        Wrong(field=1).encode()


@pytest.mark.parametrize("kind", [*MESSAGES.values(), *STATES], ids=lambda kind: kind.__qualname__)
def test_every_layout_has_words_for_the_specification(kind):
    assert all(wire.describe() for _, wire in codec.layout(kind))


def test_records_that_keep_their_bytes():
    @record
    class Passed(Kept):
        name: Annotated[str, Text(8)]

    made, data = Passed(name="ab"), bytes.fromhex("00000002 6162")
    assert made.encode() == made.encode() == data
    assert Passed.decode(data) == made
    assert Passed.decode(data).encode() == data
    assert replace(Passed.decode(data), name="c").encode() == bytes.fromhex("00000001 63")
    assert repr(made) == "Passed(name='ab')"


def test_other_annotations_of_a_field_do_not_matter():
    @record
    class Noted(Record):
        field: Annotated[int, "a note", U8]

    assert Noted(field=7).encode() == b"\7"


def test_records_do_not_change():
    with pytest.raises(AttributeError):
        OUTER.name = "other"  # type: ignore[misc]


def test_repr_shows_sizes_and_not_contents():
    assert repr(OUTER) == (
        "Outer(name='a b~', inner=Inner(index=258, colour=<Colour.DARK_BLUE: 7>), "
        "items=<1 items>, weights=<2 entries>, last=<1 bytes>)"
    )


def test_fields_are_named():
    """Two fields of one type cannot change places unnoticed."""
    with pytest.raises(TypeError):
        Inner(1, Colour.RED)
