"""The reference opens the core's ciphertexts, and the core the reference's, both from their encoded bytes."""

import numpy as np

from secagg.he import slots as sl
from secagg.he.bfv import BfvKey
from secagg.he.ciphertext import Ciphertext
from secagg.he.parameters import SUMS
from secagg.he.secret import ternary
from secagg.he.slots import SlotLayout
from secagg.packing import pack
from secagg.params import Schema, Segment
from secagg.protocol.published import conceal, reveal
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


def test_hidden_entries_are_the_element_that_no_sum_is():
    schema = Schema(ring_bits=11, mac_lanes=0, segments=(Segment(count=5, clip=8.0, step=0.5),))
    values, hidden = [-1023, 1023, 0, 7, -7], [False, False, True, True, False]
    elements = conceal(np.array(values), hidden, schema)
    assert pack(elements, 11) == ref.published(values, hidden, 11)
    assert int(elements[2]) % 2**11 == 2**10
    read = reveal(np.array([-1023, 1023, -1024, -1024, -7]), schema, bytes(32))
    assert np.isnan(read).tolist() == hidden
    assert read[[0, 1, 4]].tolist() == [-511.5, 511.5, -3.5]
