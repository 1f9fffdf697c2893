"""Oracles in plain integers: the field of the shares, packed bits, centred residues."""

from collections.abc import Mapping, Sequence

FIELD = 0x1100B  # x^16 + x^12 + x^3 + x + 1


def times(a: int, b: int) -> int:
    """Return the product in GF(2^16), computed bit by bit."""
    product = 0
    for bit in range(16):
        product ^= (a << bit) * (b >> bit & 1)
    for bit in range(31, 15, -1):
        product ^= (FIELD << bit - 16) * (product >> bit & 1)
    return product


def inverse(a: int) -> int:
    """Return a^(2^16 - 2)."""
    result = 1
    for bit in f"{0xFFFE:b}":
        result = times(times(result, result), a if bit == "1" else 1)
    return result


def polynomial(coefficients: Sequence[int], x: int) -> int:
    """Return the polynomial's value at x; the constant term comes first."""
    result = 0
    for coefficient in reversed(coefficients):
        result = times(result, x) ^ coefficient
    return result


def interpolate(points: Mapping[int, int], at: int = 0) -> int:
    """Return the value of the polynomial of least degree through (x, y) points."""
    result = 0
    for x, y in points.items():
        weight = 1
        for other in points:
            if other != x:
                weight = times(weight, times(at ^ other, inverse(x ^ other)))
        result ^= times(weight, y)
    return result


def packed(values: Sequence[int], bits: int) -> bytes:
    """Return the low bits of each value as one little-endian bit stream."""
    stream = sum((value % 2**bits) << i * bits for i, value in enumerate(values))
    return stream.to_bytes((len(values) * bits + 7) // 8, "little")
