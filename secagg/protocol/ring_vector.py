"""Ring vectors with their authenticating lanes, and their sealed, chunked form.

Spec: 01-wire §5, 02-protocol §6. A chunk holds 65,536 elements packed to b bits; the last one also holds the lanes.
Each chunk is sealed separately, so that a long vector can be created, sent, checked and added piece by piece; the
signed digest is the Merkle root over the chunks before sealing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from secagg import masks, merkle, packing, ring
from secagg.codec import prefixed, tag, u32
from secagg.errors import ParameterError, SecaggError
from secagg.keys import TAG_BYTES, UnsealError, seal, unseal
from secagg.masks import Mask
from secagg.packing import Lanes
from secagg.params import Schema

CHUNK_LANES = 1 << 16


class VectorError(SecaggError):
    """A sealed vector does not open, has the wrong length, or does not match its digest."""


@dataclass(frozen=True, slots=True)
class RingVector:
    """Elements mod 2^b and authenticating lanes mod 2^64; masks cover both.

    Shape: elements (m,), uint32 or uint64; lanes (L,) uint64.
    """

    schema: Schema
    elements: Lanes = field(repr=False)
    lanes: NDArray[np.uint64] = field(repr=False)

    @classmethod
    def zeros(cls, schema: Schema) -> Self:
        return cls(schema, ring.zeros(schema.length, schema.ring_bits), np.zeros(schema.mac_lanes, np.uint64))

    def add(self, other: "RingVector") -> None:
        """Add another vector of the same schema in place.

        Raises:
            ParameterError: its schema differs; NumPy would silently add an array of one entry to every entry.
        """
        if other.schema != self.schema:
            raise ParameterError("vectors of different schemas cannot be added")
        np.add(self.elements, other.elements, out=self.elements)
        np.add(self.lanes, other.lanes, out=self.lanes)

    def mask(self, keys: Sequence[Mask], *, remove: bool = False) -> None:
        """Apply masks in place; with `remove`, subtract them."""
        masks.apply(self.elements, keys, remove=remove)
        masks.apply(self.lanes, keys, start=first_lane(self.schema), remove=remove)

    def values(self) -> NDArray[np.int64]:
        """Return the centred integers, (m,) int64."""
        return ring.centre(self.elements, self.schema.ring_bits)


class SealedVector(NamedTuple):
    """A vector as sent: the digest that its author signs, and the sealed chunks in order."""

    root: bytes
    chunks: tuple[bytes, ...]


def seal_vector(vector: RingVector, key: bytes, associated: bytes) -> SealedVector:
    """Pack and seal a vector under a single-use key; `associated` says what it is."""
    slices = (vector.elements[at : at + CHUNK_LANES] for at in range(0, len(vector.elements), CHUNK_LANES))
    return seal_slices(slices, lambda: vector.lanes, vector.schema, key, associated)


def seal_slices(
    slices: Iterable[Lanes],
    lanes: Callable[[], NDArray[np.uint64]],
    schema: Schema,
    key: bytes,
    associated: bytes,
) -> SealedVector:
    """Pack and seal a vector that arrives in slices of CHUNK_LANES elements; its lanes are requested after the last."""
    count = len(list(_chunk_sizes(schema)))
    sealed: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for number, elements in enumerate(slices):
            chunk = packing.pack(elements, schema.ring_bits)
            if number == count - 1:
                chunk += packing.pack(lanes(), 64)
            sealed.append(seal(key, chunk, _bound(associated, count), number=number))
            yield chunk

    return SealedVector(merkle.root(chunks()), tuple(sealed))


def sealed_bytes(schema: Schema) -> int:
    """Return the length of a sealed vector's payload."""
    return sum(size + TAG_BYTES for size in _chunk_sizes(schema))


def open_vector(payload: bytes, schema: Schema, key: bytes, associated: bytes, root: bytes) -> RingVector:
    """Return the vector in a payload.

    Args:
        payload: sealed chunks, concatenated.
        root: digest that the author signed.

    Raises:
        VectorError: wrong length, seal or digest, or spare bits set; nothing was added to a total.
    """
    sizes = list(_chunk_sizes(schema))
    if len(payload) != sealed_bytes(schema):
        raise VectorError("the length of the sealed vector does not match its schema")
    vector = RingVector.zeros(schema)
    view = memoryview(payload)

    def chunks() -> Iterator[bytes]:
        at = 0
        for number, size in enumerate(sizes):
            sealed = view[at : at + size + TAG_BYTES]
            at += len(sealed)
            try:
                chunk = unseal(key, bytes(sealed), _bound(associated, len(sizes)), number=number)
                _place(vector, number, chunk, last=number == len(sizes) - 1)
            except (UnsealError, ParameterError) as error:
                raise VectorError(f"chunk {number} of the sealed vector does not open") from error
            yield chunk

    if merkle.root(chunks()) != root:
        raise VectorError("the sealed vector does not match the signed digest")
    return vector


def first_lane(schema: Schema) -> int:
    """Return the position of the lanes in the 64-bit keystream: the first whole cipher block after the elements."""
    width = np.dtype(packing.lane_dtype(schema.ring_bits)).itemsize
    return -(-schema.length * width // 16) * 2


def _place(vector: RingVector, number: int, chunk: bytes, *, last: bool) -> None:
    elements = vector.elements[number * CHUNK_LANES : (number + 1) * CHUNK_LANES]
    size = packing.packed_bytes(len(elements), vector.schema.ring_bits)
    elements[:] = packing.unpack(chunk[:size], vector.schema.ring_bits, len(elements))
    if last:
        vector.lanes[:] = packing.unpack(chunk[size:], 64, vector.schema.mac_lanes)


def _chunk_sizes(schema: Schema) -> Iterator[int]:
    for start in range(0, schema.length, CHUNK_LANES):
        count = min(CHUNK_LANES, schema.length - start)
        last = start + CHUNK_LANES >= schema.length
        yield packing.packed_bytes(count, schema.ring_bits) + (8 * schema.mac_lanes if last else 0)


def _bound(associated: bytes, chunks: int) -> bytes:
    return tag("vector") + prefixed(associated, u32(chunks))
