"""Vectors that are masked, sealed in chunks, opened and added."""

from dataclasses import replace

import numpy as np
import pytest

from secagg import merkle, ring
from secagg.errors import ParameterError
from secagg.keys import TAG_BYTES
from secagg.masks import Mask, add_keystream
from secagg.params import Schema, Segment
from secagg.protocol.ring_vector import CHUNK_LANES, RingVector, VectorError, open_vector, seal_vector
from tests.support.integers import packed

KEY, ABOUT = b"k" * 32, b"about"
LENGTHS = [1, 2, 3, CHUNK_LANES - 1, CHUNK_LANES, CHUNK_LANES + 1, 2 * CHUNK_LANES]


def schema(length: int, bits: int = 11, lanes: int = 2) -> Schema:
    return Schema(ring_bits=bits, mac_lanes=lanes, segments=(Segment(count=length, clip=4.0, step=1.0),))


def vector_of(values: np.ndarray, lanes: list[int], of: Schema) -> RingVector:
    return RingVector(of, ring.embed(values, of.ring_bits), np.array(lanes, np.uint64))


def some(length: int, bits: int = 11, lanes: int = 2) -> RingVector:
    values = (np.arange(length, dtype=np.int64) * 7 - 3) % min(2 ** (bits - 2), 2**40)
    return vector_of(values, [2**64 - 1 - i for i in range(lanes)], schema(length, bits, lanes))


def opened(sealed, of: Schema, **changes) -> RingVector:
    payload = {"payload": b"".join(sealed.chunks), "schema": of, "key": KEY, "associated": ABOUT, "root": sealed.root}
    return open_vector(**(payload | changes))


def equal(one: RingVector, two: RingVector) -> bool:
    return one.values().tolist() == two.values().tolist() and one.lanes.tolist() == two.lanes.tolist()


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("bits", "lanes"), [(11, 2), (32, 2), (33, 0), (64, 64)])
def test_what_was_sealed_opens(length, bits, lanes):
    vector = some(length, bits, lanes)
    sealed = seal_vector(vector, KEY, ABOUT)
    assert len(sealed.chunks) == -(-length // CHUNK_LANES)
    assert equal(opened(sealed, vector.schema), vector)


def test_chunks_and_root():
    vector = some(CHUNK_LANES + 2)
    plain = [
        packed(vector.elements[:CHUNK_LANES].tolist(), 11),
        packed(vector.elements[CHUNK_LANES:].tolist(), 11) + packed(vector.lanes.tolist(), 64),
    ]
    sealed = seal_vector(vector, KEY, ABOUT)
    assert sealed.root == merkle.root(plain)
    assert [len(chunk) for chunk in sealed.chunks] == [len(chunk) + TAG_BYTES for chunk in plain]


@pytest.mark.parametrize(
    "change",
    [
        {"payload": b""},
        {"key": bytes(32)},
        {"associated": b"others"},
        {"root": bytes(32)},
        {"schema": schema(CHUNK_LANES + 3)},
        {"schema": schema(CHUNK_LANES + 2, 12)},
        {"schema": schema(CHUNK_LANES + 2, 11, 3)},
    ],
    ids=["payload", "key", "associated", "root", "length", "ring", "lanes"],
)
def test_what_does_not_open(change):
    vector = some(CHUNK_LANES + 2)
    with pytest.raises(VectorError):
        opened(seal_vector(vector, KEY, ABOUT), vector.schema, **change)


def test_chunks_keep_their_places():
    """Swapped, repeated, cut: the nonce numbers the chunks and the associated data counts them."""
    vector = some(3 * CHUNK_LANES)
    sealed = seal_vector(vector, KEY, ABOUT)
    one, two, three = sealed.chunks
    for chunks in ((two, one, three), (one, one, three), (one, two), (one, two, three, three), (three, two, one)):
        with pytest.raises(VectorError):
            opened(sealed, vector.schema, payload=b"".join(chunks))
    shorter = schema(2 * CHUNK_LANES, lanes=0)
    with pytest.raises(VectorError):
        opened(sealed, shorter, payload=one + two)


@pytest.mark.parametrize("at", [0, 100, -1, -20])
def test_a_changed_byte_is_noticed(at):
    vector = some(1000)
    sealed = seal_vector(vector, KEY, ABOUT)
    payload = bytearray(b"".join(sealed.chunks))
    payload[at] ^= 1
    with pytest.raises(VectorError):
        opened(sealed, vector.schema, payload=bytes(payload))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("bits", [11, 40])
def test_masks_cover_elements_and_lanes(length, bits):
    """Lanes take the keystream from the next whole block on; no byte of it serves twice."""
    vector, plain = some(length, bits, 3), some(length, bits, 3)
    masks = [Mask(key=b"a" * 32, negate=False), Mask(key=b"b" * 32, negate=True)]
    vector.mask(masks)
    width = vector.elements.itemsize
    blocks = -(-length * width // 16)
    for mask in masks:
        add_keystream(plain.elements, mask.key, negate=mask.negate)
        add_keystream(plain.lanes, mask.key, negate=mask.negate, start=2 * blocks)
    assert (vector.elements == plain.elements).all()
    assert (vector.lanes == plain.lanes).all()
    vector.mask(masks, remove=True)
    assert equal(vector, some(length, bits, 3))


def test_masked_vectors_add_up():
    one, two = some(5), some(5)
    shared = Mask(key=b"s" * 32, negate=False)
    one.mask([shared])
    two.mask([replace(shared, negate=True)])
    one.add(two)
    assert one.values().tolist() == [2 * value for value in some(5).values().tolist()]
    assert one.lanes.tolist() == [(2 * lane) % 2**64 for lane in some(5).lanes.tolist()]


def test_vectors_of_two_schemas_have_no_sum():
    """One entry would otherwise be added to every entry."""
    with pytest.raises(ParameterError):
        some(3).add(some(1))


def test_zeros_and_negative_values():
    vector = vector_of(np.array([-1, 0, 4], np.int64), [5, 6], schema(3))
    vector.add(RingVector.zeros(schema(3)))
    assert vector.values().tolist() == [-1, 0, 4]


def test_a_vector_does_not_show_its_elements():
    assert "elements" not in repr(some(3))
    assert "lanes=" not in repr(some(3)).replace("mac_lanes=", "")
