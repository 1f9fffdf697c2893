"""Slots modulo t: several values, with headroom for their sums, packed into one, then masked, then encrypted.

Spec: 02-protocol §11. For a schema's ring of b bits, a slot holds k = floor(L / b) consecutive values,
L = floor(log2 t): the sum of x_j 2^(b j), j < k, modulo t. Sums of slots are slots of sums: every sum of values lies
strictly between -2^(b-1) and 2^(b-1), so the balanced digits of the centred residue are the sums (`Schema.check`).

A mask adds 128-bit lanes of a keystream modulo t: lane i is block i of AES-256-CTR as a little-endian integer. The
statistical distance from uniform residues is below t / 2^128 < 2^-68 each.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from secagg import kernels
from secagg.errors import ParameterError
from secagg.he.parameters import HeParameters, barrett
from secagg.masks import Mask, add_keystream
from secagg.params import Schema

Slots = NDArray[np.uint64]

_PIECE = 1 << 13  # slots at a time: keystream and sums stay in the second-level cache


class SlotLayout:
    """The places of the values of a schema's vector: k per slot, then one lane per slot, then zeros."""

    __slots__ = ("bits", "lanes", "length", "parameters", "values_a_slot")

    def __init__(self, schema: Schema, parameters: HeParameters) -> None:
        self.parameters = parameters
        self.bits = schema.ring_bits
        self.length = schema.length
        self.lanes = schema.mac_lanes
        self.values_a_slot = (parameters.plain_modulus.bit_length() - 1) // schema.ring_bits
        if not self.values_a_slot:
            raise ParameterError(f"a slot is too small for a value of {schema.ring_bits} bits")

    def check(self, parties: int) -> None:
        """Check that the sum of this many vectors can be opened, and that a false one would be detected.

        Raises:
            ParameterError: there are no lanes; HeadroomError: the noise could be too large. Nothing was encrypted.
        """
        if not self.lanes:
            raise ParameterError("the schema has no lanes to authenticate the sum")
        self.parameters.check(parties)

    @property
    def value_slots(self) -> int:
        return -(-self.length // self.values_a_slot)

    @property
    def ciphertexts(self) -> int:
        return -(-(self.value_slots + self.lanes) // self.parameters.degree)

    @property
    def values_a_ciphertext(self) -> int:
        return self.values_a_slot * self.parameters.degree


def pack_values(values: NDArray[np.int64], layout: SlotLayout) -> Slots:
    """Return the slots of consecutive values; the last slot is padded with zeros.

    Shape: values (c,), each |value| < 2^(b-1); the result has ceil(c / k) slots below t.
    """
    k, t = layout.values_a_slot, layout.parameters.plain_modulus
    padded = np.zeros(-(-len(values) // k) * k, np.int64)
    padded[: len(values)] = values
    digits = padded.reshape(-1, k)
    packed = digits[:, k - 1].copy()
    for j in range(k - 2, -1, -1):
        packed = (packed << np.int64(layout.bits)) + digits[:, j]
    return np.where(packed < 0, packed + np.int64(t), packed).view(np.uint64)


def unpack_values(slots: Slots, layout: SlotLayout, count: int) -> NDArray[np.int64]:
    """Return the first `count` values in slots, which may be sums of as many vectors as the schema was checked for."""
    k, t, unused = layout.values_a_slot, layout.parameters.plain_modulus, np.int64(64 - layout.bits)
    rest = np.where(slots > t // 2, slots - np.uint64(t), slots).view(np.int64)
    values = np.empty((len(slots), k), np.int64)
    for j in range(k):
        values[:, j] = (rest << unused) >> unused
        rest = (rest - values[:, j]) >> np.int64(layout.bits)
    return values.reshape(-1)[:count]


def mask(slots: Slots, masks: Iterable[Mask], t: int, *, start: int = 0, remove: bool = False) -> None:
    """Add masks to slots in place modulo t; with `remove`, subtract them.

    Args:
        start: index of slots[0] in the vector.
    """
    signed = [(one.key, -1 if one.negate != remove else 1) for one in masks]
    modulus = barrett(t)
    for at in range(0, len(slots), _PIECE):
        piece = slots[at : at + _PIECE]
        sums = np.zeros(4 * len(piece), np.int64)
        for key, sign in signed:
            kernels.modular.accumulate(_keystream(key, len(piece), start + at).view(np.uint32), sign, sums)
        kernels.modular.settle(sums, *modulus, piece)


def residues(key: bytes, count: int, t: int, start: int = 0) -> Slots:
    """Return lanes [start, start + count) of a keystream modulo t."""
    slots = np.zeros(count, np.uint64)
    mask(slots, [Mask(key=key, negate=False)], t, start=start)
    return slots


def lanes(keys: Iterable[bytes], slots: Slots, t: int, *, start: int = 0) -> list[int]:
    """Return, for each key, the inner product modulo t of slots with its residues, from slot `start` on.

    Linear modulo t, as the lanes of `secagg.mac` are modulo 2^64; a false sum matches with probability at most 1 / t.
    """
    modulus, found = barrett(t), []
    for key in keys:
        total = 0
        for at, piece in _pieces(slots):
            total += int(kernels.modular.dot(residues(key, len(piece), t, start + at), piece, *modulus))
        found.append(total % t)
    return found


def _pieces(slots: Slots) -> Iterator[tuple[int, Slots]]:
    for at in range(0, len(slots), _PIECE):
        yield at, slots[at : at + _PIECE]


def _keystream(key: bytes, blocks: int, start: int) -> Slots:
    words = np.zeros(2 * blocks, np.uint64)
    add_keystream(words, key, start=2 * start)
    return words
