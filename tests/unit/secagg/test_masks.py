"""Masks against OpenSSL's bare keystream, at every length, start and sign."""

from itertools import pairwise, product

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numba.core import config

from secagg import masks
from secagg.errors import ParameterError
from secagg.masks import Mask, add_keystream

KEY = bytes(range(32))
WIDTHS = [np.uint32, np.uint64]
widths = pytest.mark.parametrize("dtype", WIDTHS, ids=["u32", "u64"])


def keystream(dtype, count: int, start: int = 0, key: bytes = KEY) -> np.ndarray:
    """Return lanes of OpenSSL's keystream from the beginning, cut afterwards."""
    width = np.dtype(dtype).itemsize
    stream = Cipher(AES256(key), CTR(bytes(16))).encryptor().update(bytes((start + count) * width))
    return np.frombuffer(stream, np.dtype(dtype).newbyteorder("<"))[start:].astype(dtype)


@widths
def test_every_length(dtype):
    for length in range(301):
        acc = np.zeros(length, dtype)
        add_keystream(acc, KEY)
        assert (acc == keystream(dtype, length)).all()


@widths
def test_every_start(dtype):
    for start in range(301):
        acc = np.zeros(9, dtype)
        add_keystream(acc, KEY, start=start)
        assert (acc == keystream(dtype, 9, start)).all()


@widths
@pytest.mark.parametrize("around", [1 << 13, 1 << 14, 1 << 15])
def test_pieces_join(dtype, around):
    """Lengths around the pieces in which the keystream is made."""
    for length, start in product((around - 1, around, around + 1), (0, 1, 3)):
        acc = np.ones(length, dtype)
        add_keystream(acc, KEY, start=start)
        assert (acc == keystream(dtype, length, start) + dtype(1)).all()


@widths
def test_adding_wraps_and_subtracting_undoes_it(dtype):
    top = np.iinfo(dtype).max
    acc = np.full(1000, top, dtype)
    add_keystream(acc, KEY, start=5)
    assert (acc == keystream(dtype, 1000, 5) - dtype(1)).all()
    add_keystream(acc, KEY, start=5, negate=True)
    assert (acc == top).all()
    add_keystream(acc, KEY, negate=True)
    assert (acc == dtype(top) - keystream(dtype, 1000)).all()


@widths
def test_slices_are_the_whole(dtype):
    whole = np.zeros(1000, dtype)
    add_keystream(whole, KEY)
    parts = np.zeros(1000, dtype)
    cuts = [0, 1, 2, 7, 8, 64, 501, 999, 1000]
    for start, end in pairwise(cuts):
        add_keystream(parts[start:end], KEY, start=start)
    assert (parts == whole).all()


@widths
@pytest.mark.parametrize(
    "block",
    [
        1,
        255,
        256,
        2**32 - 1,
        2**32,
        2**40 - 4,
        2**40 - 2,
        2**40 - 1,
        2**40,
        2**60 + 1,
        2**61 - 2,
        2**61 - 1,
        2**62,
        2**64 - 1,
        2**64,
        2**128 - 4,
    ],
)
def test_the_counter_has_128_bits(dtype, block):
    """Lanes far out are those of a cipher that was started at that block."""
    acc = np.zeros(8, dtype)
    add_keystream(acc, KEY, start=block * 16 // np.dtype(dtype).itemsize)
    stream = Cipher(AES256(KEY), CTR(block.to_bytes(16, "big"))).encryptor().update(bytes(acc.nbytes))
    assert acc.astype(acc.dtype.newbyteorder("<")).tobytes() == stream


def test_the_first_bytes_are_those_of_the_cipher():
    acc = np.zeros(4, np.uint32)
    add_keystream(acc, KEY)
    assert acc.astype("<u4").tobytes() == Cipher(AES256(KEY), CTR(bytes(16))).encryptor().update(bytes(16))


def read_only() -> np.ndarray:
    acc = np.zeros(4, np.uint32)
    acc.flags.writeable = False
    return acc


@pytest.mark.parametrize(
    "acc",
    [
        np.zeros(4, np.int32),
        np.zeros(4, np.uint16),
        np.zeros(4, np.float64),
        np.zeros(4, ">u4"),
        np.zeros((2, 2), np.uint32),
        np.zeros(8, np.uint32)[::2],
        read_only(),
    ],
    ids=["signed", "short", "real", "big-endian", "two-dimensional", "strided", "read-only"],
)
def test_arrays_that_are_no_accumulator(acc):
    before = acc.copy()
    with pytest.raises(ParameterError):
        add_keystream(acc, KEY)
    assert (acc == before).all()


@pytest.mark.parametrize(
    "wrong", [{"key": b""}, {"key": bytes(16)}, {"key": bytes(33)}, {"start": -1}, {"start": 2**130}]
)
def test_keys_and_starts_that_are_none(wrong):
    acc = np.zeros(4, np.uint32)
    with pytest.raises(ParameterError):
        add_keystream(acc, **{"key": KEY, **wrong})
    assert not acc.any()


@widths
def test_a_list_of_masks_comes_off_as_it_went_on(dtype):
    several = [Mask(key=bytes([i]) * 32, negate=i % 2 == 1) for i in range(5)]
    acc = np.arange(100, dtype=dtype)
    masks.apply(acc, several, start=3)
    expected = np.arange(100, dtype=dtype)
    for mask in several:
        stream = keystream(dtype, 100, 3, mask.key)
        expected = expected - stream if mask.negate else expected + stream
    assert (acc == expected).all()
    masks.apply(acc, several, start=3, remove=True)
    assert (acc == np.arange(100, dtype=dtype)).all()


@widths
def test_long_work_is_shared_out(dtype, monkeypatch):
    """Three slices with three threads, whatever this machine has, are the one vector."""
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 3)
    monkeypatch.setattr(masks, "_WORTH_A_THREAD", 1000)
    several = [Mask(key=bytes([i]) * 32, negate=i % 2 == 1) for i in range(3)]
    acc = np.zeros(10_001, dtype)
    masks.apply(acc, several, start=5)
    parts = [keystream(dtype, 10_001, 5, mask.key) for mask in several]
    assert (acc == parts[0] - parts[1] + parts[2]).all()


def test_a_mask_does_not_show_its_key():
    assert "ab" * 32 not in repr(Mask(key=b"\xab" * 32, negate=False))
    assert repr(Mask(key=KEY, negate=True)) == "Mask(key=<32 bytes>, negate=True)"
