"""The secret polynomial derived from a seed, and its transform modulo a prime.

Spec: 02-protocol §11. Every member derives the same seed from the members' shared secret, so that no key travels and no
site alone chooses it. Coefficient i is lane i of the seed's keystream as little-endian u64, modulo 3, minus 1.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from secagg import kernels
from secagg.he.parameters import barrett
from secagg.masks import add_keystream


def ternary(seed: bytes, degree: int) -> NDArray[np.int64]:
    """Return the N coefficients, each -1, 0 or 1; their probabilities differ by at most 2^-62."""
    lanes = np.zeros(degree, np.uint64)
    add_keystream(lanes, seed)
    return (lanes % np.uint64(3)).astype(np.int64) - 1


def transform(coefficients: NDArray[np.int64], prime: int) -> NDArray[np.uint64]:
    """Return a polynomial's values at the odd powers of psi modulo a prime, value j at psi^(2 rev(j) + 1).

    psi is the least primitive 2N-th root of one; rev reverses log2 N bits (Longa and Naehrig 2016, algorithm 1).

    Shape: coefficients (N,), small in absolute value.
    """
    degree, modulus = len(coefficients), barrett(prime)
    values, roots = (coefficients % prime).astype(np.uint64), powers(degree, prime)
    blocks = 1
    while blocks < degree:
        pairs = values.reshape(blocks, 2, -1)
        turned = np.empty(degree // 2, np.uint64)
        factors = np.repeat(roots[blocks : 2 * blocks], degree // 2 // blocks)
        kernels.modular.multiply(np.ascontiguousarray(pairs[:, 1]).reshape(-1), factors, *modulus, turned)
        ends = (pairs[:, 0] + turned.reshape(blocks, -1), pairs[:, 0] + modulus[0] - turned.reshape(blocks, -1))
        values = np.stack(ends, axis=1).reshape(-1)
        values = np.minimum(values, values - modulus[0])
        blocks *= 2
    return values


@cache
def powers(degree: int, prime: int) -> NDArray[np.uint64]:
    """Return the powers of psi, with exponents in bit-reversed order."""
    psi, width = _least_root(degree, prime), degree.bit_length() - 1
    powers = [1]
    for _ in range(degree - 1):
        powers.append(powers[-1] * psi % prime)
    return np.array([powers[int(f"{i:0{width}b}"[::-1], 2)] for i in range(degree)], np.uint64)


def _least_root(degree: int, prime: int) -> int:
    candidates = (pow(g, (prime - 1) // (2 * degree), prime) for g in range(2, prime))
    root = next(r for r in candidates if pow(r, degree, prime) == prime - 1)
    square, least = root * root % prime, root
    for _ in range(degree):
        root = root * square % prime
        least = min(least, root)
    return least
