"""Arithmetic modulo a prime t of at most 60 bits, and sums of 128-bit keystream lanes before they are reduced.

Spec: 02-protocol §11. Products have 120 bits and are reduced by Barrett's method: with L the bit length of t and
mu = floor(2^(2L) / t), the quotient of v < 2^(2L) is floor(floor(v / 2^(L-2)) mu / 2^(L+2)) or at most two more. The
compiler turns the minima into selections, so that nothing branches on a secret.
"""

import numpy as np
from numba import int64, uint32, uint64, void
from numpy.typing import NDArray

from secagg.kernels._jit import kernel, readonly

U64Array = NDArray[np.uint64]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@kernel(uint64(uint64, uint64))
def _high(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return the upper 64 bits of a product."""
    a1, a0, b1, b0 = a >> _HALF, a & _LOW, b >> _HALF, b & _LOW
    middle = a1 * b0 + (a0 * b0 >> _HALF)
    return a1 * b1 + (middle >> _HALF) + (a0 * b1 + (middle & _LOW) >> _HALF)


@kernel(uint64(uint64, uint64, uint64, uint64, uint64))
def _product(a: np.uint64, b: np.uint64, t: np.uint64, mu: np.uint64, bits: np.uint64) -> np.uint64:
    """Return a b mod t, for a, b < t."""
    low = a * b
    top = _high(a, b) << (np.uint64(66) - bits) | low >> (bits - np.uint64(2))
    rest = low - _high(top << (np.uint64(62) - bits), mu) * t
    rest = min(rest, rest - t)
    return min(rest, rest - t)


@kernel(void(readonly(uint32), int64, int64[::1]))
def accumulate(words: NDArray[np.uint32], sign: int, sums: NDArray[np.int64]) -> None:
    """Add words to sums, or subtract them if sign is -1; up to 2^31 keystreams fit."""
    for i in range(sums.shape[0]):
        sums[i] += sign * np.int64(words[i])


@kernel(void(readonly(int64), uint64, uint64, uint64, uint64[::1]))
def settle(sums: NDArray[np.int64], t: np.uint64, mu: np.uint64, bits: np.uint64, slots: U64Array) -> None:
    """Add to each slot its four sums of 32-bit words, least significant first, modulo t.

    Shape: slots (k,), each < t; sums (4 k,).
    """
    modulus = np.int64(t)
    shift = (np.uint64(1) << _HALF) % t
    for i in range(slots.shape[0]):
        value = np.uint64(0)
        for j in range(3, -1, -1):
            word = sums[4 * i + j] % modulus
            word += modulus & (word >> np.int64(63))  # division follows C: the remainder has the dividend's sign
            value = _product(value, shift, t, mu, bits) + np.uint64(word)
            value = min(value, value - t)
        value += slots[i]
        slots[i] = min(value, value - t)


@kernel(uint64(readonly(uint64), readonly(uint64), uint64, uint64, uint64))
def dot(a: U64Array, b: U64Array, t: np.uint64, mu: np.uint64, bits: np.uint64) -> np.uint64:
    """Return the inner product modulo t."""
    total = np.uint64(0)
    for i in range(a.shape[0]):
        total += _product(a[i], b[i], t, mu, bits)
        total = min(total, total - t)
    return total


@kernel(void(readonly(uint64), readonly(uint64), uint64, uint64, uint64, uint64[::1]))
def multiply(a: U64Array, b: U64Array, t: np.uint64, mu: np.uint64, bits: np.uint64, out: U64Array) -> None:
    """Write the products of two vectors modulo t."""
    for i in range(out.shape[0]):
        out[i] = _product(a[i], b[i], t, mu, bits)
