"""Shamir secret sharing over GF(2^16): shares of exactly the secret's length, up to 65,535 holders.

Spec: 02-protocol §4. Paper: Shamir 1979. A secret is a row of 16-bit little-endian symbols, each the constant term of
its own polynomial of degree threshold - 1; a holder's share is the row of values at its x. Sharing many secrets of one
dealer among the same holders means sharing their concatenation.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from secagg import kernels
from secagg.errors import ParameterError

MAX_HOLDER = 0xFFFF
_SYMBOL = np.dtype("<u2")


def split(secret: bytes, *, threshold: int, holders: Sequence[int], rand: bytes) -> list[bytes]:
    """Return one share per holder, as long as the secret; any `threshold` of them rebuild it, fewer reveal nothing.

    Args:
        secret: even, positive number of bytes.
        threshold: number of shares that rebuild the secret, from 1 to the number of holders.
        holders: distinct x values, 1 to 65,535.
        rand: 32 secret random bytes, used for this call only; the polynomials' other coefficients are its AES-256-CTR
            keystream, so they are uniform over the whole field.

    Raises:
        ParameterError: an argument is out of range.
    """
    points = _points(holders)
    if not secret or len(secret) % 2:
        raise ParameterError("a secret must have an even, positive number of bytes")
    if not 1 <= threshold <= len(holders):
        raise ParameterError(
            f"the threshold must be between 1 and the number of holders ({len(holders)}), got {threshold}"
        )
    if len(rand) != 32:
        raise ParameterError("rand must have 32 bytes")
    width = len(secret) // 2
    stream = Cipher(AES256(rand), CTR(bytes(16))).encryptor().update(bytes((threshold - 1) * len(secret)))
    coefficients = np.frombuffer(secret + stream, _SYMBOL).reshape(threshold, width).astype(np.uint16)
    shares = np.empty((len(holders), width), np.uint16)
    kernels.gf16.evaluate(coefficients, points, shares)
    return [row.astype(_SYMBOL).tobytes() for row in shares]


def combine(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """Return the secret rebuilt from shares, which are keyed by holder.

    Shares beyond the threshold are checked: each must lie on the polynomial of the first ones. Exactly `threshold`
    shares always give some result, so the caller must check the secret against its commitment.

    Raises:
        ParameterError: too few shares, unequal or odd lengths, x out of range, or shares of different secrets.
    """
    if not 1 <= threshold <= len(shares):
        raise ParameterError(f"{threshold} shares are needed, got {len(shares)}")
    holders = sorted(shares)
    points = _points(holders)
    rows = [shares[holder] for holder in holders]
    if len({len(row) for row in rows}) != 1 or not rows[0] or len(rows[0]) % 2:
        raise ParameterError("shares must all have the same even, positive length")
    table = np.frombuffer(b"".join(rows), _SYMBOL).reshape(len(rows), -1).astype(np.uint16)
    base, basis = table[:threshold], points[:threshold]
    for x, row in zip(points[threshold:], table[threshold:], strict=True):
        if not np.array_equal(_interpolate(base, basis, int(x)), row):
            raise ParameterError("the shares do not lie on one polynomial")
    return _interpolate(base, basis, 0).astype(_SYMBOL).tobytes()


def _interpolate(rows: NDArray[np.uint16], points: NDArray[np.uint16], at: int) -> NDArray[np.uint16]:
    out = np.empty(rows.shape[1], np.uint16)
    kernels.gf16.weighted_sum(_lagrange(points, at), np.ascontiguousarray(rows), out)
    return out


def _points(holders: Sequence[int]) -> NDArray[np.uint16]:
    if len(set(holders)) != len(holders) or not all(1 <= x <= MAX_HOLDER for x in holders):
        raise ParameterError("holders must be distinct numbers from 1 to 65,535; 0 would be the secret itself")
    return np.array(holders, np.uint16)


def _lagrange(points: NDArray[np.uint16], at: int) -> NDArray[np.uint16]:
    """Return each point's weight for the value at `at`, which is none of them. All are public, so tables are safe."""
    logarithm, power = _tables()
    order = len(power)
    numerators = logarithm[points ^ np.uint16(at)]
    differences = logarithm[points[:, None] ^ points[None, :]]  # the diagonal is log(0), which is 0 in the table
    exponents = numerators.sum() - numerators - differences.sum(axis=1)
    weights: NDArray[np.uint16] = power[exponents % order]
    return weights


@cache
def _tables() -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Return logarithms (0 for log(0)) and powers of x, which generates the field's 65,535 units."""
    power = np.empty(0xFFFF, np.uint16)
    value, polynomial = 1, kernels.gf16.POLYNOMIAL
    for exponent in range(0xFFFF):
        power[exponent] = value
        value = (value << 1) ^ (polynomial if value >> 15 else 0)
    logarithm = np.zeros(0x10000, np.int64)
    logarithm[power] = np.arange(0xFFFF)
    return logarithm, power
