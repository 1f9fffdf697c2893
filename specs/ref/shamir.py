"""Shamir's scheme over GF(2^16), symbol by symbol, in plain integers.

Spec: 02-protocol §4.
"""

from collections.abc import Mapping, Sequence

from specs.ref.keys import keystream

POLYNOMIAL = 1 << 16 | 1 << 12 | 1 << 3 | 1 << 1 | 1


def multiply(a: int, b: int) -> int:
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a <<= 1
        a ^= POLYNOMIAL if a >> 16 else 0
        b >>= 1
    return product


def inverse(a: int) -> int:
    """a^(2^16 - 2)."""
    result = 1
    for _ in range(15):
        a = multiply(a, a)
        result = multiply(result, a)
    return result


def symbols(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


def octets(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(2, "little") for value in values)


def share(secret: bytes, t: int, holders: Sequence[int], rand: bytes) -> dict[int, bytes]:
    constant = symbols(secret)
    size = len(constant)
    drawn = symbols(keystream(rand, 2 * size * (t - 1)))
    rows = [constant] + [drawn[j * size : (j + 1) * size] for j in range(t - 1)]
    shares = {}
    for x in holders:
        values = [0] * size
        for row in reversed(rows):  # Horner
            values = [multiply(value, x) ^ coefficient for value, coefficient in zip(values, row, strict=True)]
        shares[x] = octets(values)
    return shares


def combine(shares: Mapping[int, bytes]) -> bytes:
    """The values at 0 of the polynomials through all the shares given."""
    total = [0] * (len(next(iter(shares.values()))) // 2)
    for x, data in shares.items():
        weight = 1
        for other in shares:
            if other != x:
                weight = multiply(weight, multiply(other, inverse(other ^ x)))
        total = [value ^ multiply(weight, symbol) for value, symbol in zip(total, symbols(data), strict=True)]
    return octets(total)
