"""Slots, masks and lanes modulo t, against Python integers and OpenSSL's keystream."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from secagg.errors import ParameterError
from secagg.he import slots as sl
from secagg.he.parameters import SUMS, barrett
from secagg.he.slots import SlotLayout
from secagg.kernels import modular
from secagg.masks import Mask
from secagg.params import Schema, Segment

T = SUMS.plain_modulus
KEYS = [bytes([i]) * 32 for i in range(5)]


def layout(bits: int, count: int = 1000, lanes: int = 2) -> SlotLayout:
    return SlotLayout(
        Schema(ring_bits=bits, mac_lanes=lanes, segments=(Segment(count=count, clip=1.0, step=1.0),)), SUMS
    )


def blocks(key: bytes, count: int) -> list[int]:
    stream = Cipher(AES256(key), CTR(bytes(16))).encryptor().update(bytes(16 * count))
    return [int.from_bytes(stream[i : i + 16], "little") for i in range(0, len(stream), 16)]


@pytest.mark.parametrize("prime", [12289, *SUMS.primes, T, (1 << 60) - 173])
def test_products_modulo_a_prime(prime):
    rng = np.random.default_rng(prime % 2**32)  # noqa: TID251 test data
    a, b = (rng.integers(0, prime, 2000, dtype=np.uint64) for _ in range(2))
    a[:4], b[:4] = [0, prime - 1, 1, prime - 1], [prime - 1, prime - 1, 0, 1]
    out = np.empty_like(a)
    modular.multiply(a, b, *barrett(prime), out)
    assert out.tolist() == [x * y % prime for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert int(modular.dot(a, b, *barrett(prime))) == sum(map(int.__mul__, a.tolist(), b.tolist())) % prime


def test_masks_are_blocks_of_the_keystream_modulo_t():
    masks = [Mask(key=key, negate=i % 2 == 1) for i, key in enumerate(KEYS)]
    slots = np.arange(20_000, dtype=np.uint64)  # more than one piece
    sl.mask(slots, masks, T)
    streams = [blocks(key, 20_000) for key in KEYS]
    expected = [(i + sum((-1) ** j * stream[i] for j, stream in enumerate(streams))) % T for i in range(0, 20_000, 617)]
    assert slots[::617].tolist() == expected
    sl.mask(slots, masks, T, remove=True)
    assert slots.tolist() == list(range(20_000))


def test_a_slice_is_masked_by_itself():
    whole, part = sl.residues(KEYS[0], 9_000, T), sl.residues(KEYS[0], 700, T, start=8_000)
    assert part.tolist() == whole[8_000:8_700].tolist()


@pytest.mark.parametrize("bits", [2, 11, 19, 28, 29, 30, 58])
def test_sums_of_slots_are_slots_of_sums(bits):
    """To the last value that head-room allows, in both directions."""
    form, parties = layout(bits), 3
    most = ((1 << (bits - 1)) - 1) // parties
    rng = np.random.default_rng(bits)  # noqa: TID251 test data
    rows = rng.integers(-most, most, (parties, 1000), endpoint=True)
    rows[:, :2], rows[:, 2:4] = most, -most
    total = np.zeros(form.value_slots, np.uint64)
    for row in rows:
        total = (total + sl.pack_values(row, form)) % np.uint64(T)
    assert sl.unpack_values(total, form, 1000).tolist() == rows.sum(axis=0).tolist()


def test_a_value_that_no_slot_holds():
    assert layout(58).values_a_slot == 1
    with pytest.raises(ParameterError):
        layout(59)


def test_lanes_are_inner_products_and_linear():
    rng = np.random.default_rng(1)  # noqa: TID251 test data
    one, other = (rng.integers(0, T, 9_000, dtype=np.uint64) for _ in range(2))
    rho = [block % T for block in blocks(KEYS[1], 9_000)]
    assert sl.lanes(KEYS[1:2], one, T) == [sum(map(int.__mul__, rho, one.tolist())) % T]
    both = (one + other) % np.uint64(T)
    sums = [(a + b) % T for a, b in zip(sl.lanes(KEYS, one, T), sl.lanes(KEYS, other, T), strict=True)]
    assert sl.lanes(KEYS, both, T) == sums
    halves = [sl.lanes(KEYS, one[:5_000], T), sl.lanes(KEYS, one[5_000:], T, start=5_000)]
    assert [(a + b) % T for a, b in zip(*halves, strict=True)] == sl.lanes(KEYS, one, T)
