"""The reference opens the core's ciphertexts, and the core the reference's, both from their encoded bytes."""

import numpy as np

from secagg.he import slots as sl
from secagg.he.bfv import BfvKey
from secagg.he.ciphertext import Ciphertext
from secagg.he.parameters import SUMS
from secagg.he.secret import ternary
from secagg.he.slots import SlotLayout
from secagg.params import Schema, Segment
from specs.ref import homomorphic as ref

SEED, KEY = b"a seed of 32 bytes for one round", b"k" * 32
FILLED = ref.residues(KEY, ref.N)


def test_slots_masks_lanes_and_secrets():
    schema = Schema(ring_bits=28, mac_lanes=2, segments=(Segment(count=99, clip=1.0, step=1.0),))
    signed = [(-1) ** i * i * 1_000_003 for i in range(99)]
    packed = ref.slots(signed, 28)
    assert sl.pack_values(np.array(signed), SlotLayout(schema, SUMS)).tolist() == packed
    assert sl.residues(KEY, ref.N, SUMS.plain_modulus).tolist() == FILLED
    assert sl.lanes([KEY], np.array(packed, np.uint64), SUMS.plain_modulus) == [ref.lane(KEY, packed)]
    assert ternary(SEED, SUMS.degree).tolist() == ref.secret(SEED)


def test_the_core_opens_what_the_reference_encrypts():
    data = ref.encode(*ref.encrypt(SEED, FILLED, b"u" * 32, [21, -21, 0, 3]))
    assert BfvKey(SEED, SUMS).open(Ciphertext.decode(data, SUMS)).tolist() == FILLED


def test_the_reference_opens_what_the_core_encrypts_and_adds():
    key = BfvKey(SEED, SUMS)
    total = key.encrypt(np.array(FILLED, np.uint64))
    total.add(key.encrypt(np.array(FILLED[::-1], np.uint64)))
    opened = ref.decrypt(SEED, *ref.decode(total.encode(), "V-0704"))
    assert opened == [(a + b) % ref.T for a, b in zip(FILLED, FILLED[::-1], strict=True)]
