"""Homomorphic sums: slots, masks and lanes modulo t, the secret polynomial, schoolbook BFV and slow transforms.

Spec: 02-protocol §11. A polynomial is a list of N integers modulo q.
"""

from collections.abc import Sequence
from functools import cache

from specs.ref.hashes import check
from specs.ref.keys import keystream
from specs.ref.vector import pack, unpack

N = 4096
T = 288230376151760897
PRIMES = (137438822401, 68719230977)
Q = PRIMES[0] * PRIMES[1]
HALF = N // 2


def residues(key: bytes, count: int) -> list[int]:
    stream = keystream(key, 16 * count)
    return [int.from_bytes(stream[i : i + 16], "little") % T for i in range(0, len(stream), 16)]


def slots(values: Sequence[int], bits: int) -> list[int]:
    """Consecutive signed integers, as many per slot as fit into 58 bits."""
    k = 58 // bits
    return [sum(x << bits * j for j, x in enumerate(values[i : i + k])) % T for i in range(0, len(values), k)]


def published(values: Sequence[int], hidden: Sequence[bool], bits: int) -> bytes:
    """The elements of an Opened: those of the sum, and 2^(b-1) where it is hidden."""
    return pack([1 << bits - 1 if h else x % (1 << bits) for x, h in zip(values, hidden, strict=True)], bits)


def lane(key: bytes, packed: Sequence[int]) -> int:
    return sum(rho * s for rho, s in zip(residues(key, len(packed)), packed, strict=True)) % T


def secret(seed: bytes) -> list[int]:
    stream = keystream(seed, 8 * N)
    return [int.from_bytes(stream[i : i + 8], "little") % 3 - 1 for i in range(0, len(stream), 8)]


@cache
def root(modulus: int) -> int:
    """The least primitive 2N-th root of one."""
    found = next(r for g in range(2, modulus) if pow(r := pow(g, (modulus - 1) // (2 * N), modulus), N, modulus) != 1)
    return min(pow(found, odd, modulus) for odd in range(1, 2 * N, 2))


def values(polynomial: Sequence[int], points: int, modulus: int) -> list[int]:
    """The values at the powers 0, 1, ... of a points-th root of one, from even and odd coefficients."""
    if len(polynomial) == 1:
        return list(polynomial) * points
    even, odd = (values(polynomial[i::2], points // 2, modulus) for i in (0, 1))
    w, power, out = pow(root(modulus), 2 * N // points, modulus), 1, []
    for i in range(points):
        out.append((even[i % len(even)] + power * odd[i % len(odd)]) % modulus)
        power = power * w % modulus
    return out


def exponents() -> list[int]:
    """The exponent of psi for each slot's value of the polynomial."""
    powers = [pow(3, i, 2 * N) for i in range(HALF)]
    return powers + [2 * N - e for e in powers]


def decoded(polynomial: Sequence[int]) -> list[int]:
    at = values(polynomial, 2 * N, T)
    return [at[e] for e in exponents()]


def encoded(filled: Sequence[int]) -> list[int]:
    """The polynomial modulo t with these N slots: coefficient j is the sum of slot e times psi^(-e j), divided by N."""
    by_exponent = [0] * (2 * N)
    for e, slot in zip(exponents(), filled, strict=True):
        by_exponent[-e % (2 * N)] = slot
    n_inverse = pow(N, -1, T)
    return [x * n_inverse % T for x in values(by_exponent, 2 * N, T)[:N]]


def times_secret(c1: Sequence[int], s: Sequence[int]) -> list[int]:
    """c1 s modulo x^N + 1 and q, as one product of two large integers."""
    width = 13  # bytes: more than 12 + 73 bits
    big = _joined(c1, width)
    rows = []
    for sign in (1, -1):
        digits = (big * _joined([x == sign for x in s], width)).to_bytes(2 * N * width, "little")
        rows.append([int.from_bytes(digits[i : i + width], "little") for i in range(0, len(digits), width)])
    product = [a - b for a, b in zip(*rows, strict=True)]
    return [(product[i] - product[i + N]) % Q for i in range(N)]


def _joined(digits: Sequence[int], width: int) -> int:
    return int.from_bytes(b"".join(int(x).to_bytes(width, "little") for x in digits), "little")


def encrypt(seed: bytes, filled: Sequence[int], uniform: bytes, noise: Sequence[int]) -> tuple[list[int], list[int]]:
    """A ciphertext with these coins; `noise` is repeated."""
    stream = keystream(uniform, 16 * N)
    c1 = [int.from_bytes(stream[i : i + 16], "little") % Q for i in range(0, len(stream), 16)]
    masked = times_secret(c1, secret(seed))
    scaled = [(Q * m + T // 2) // T for m in encoded(filled)]
    c0 = [(m + noise[i % len(noise)] - a) % Q for i, (m, a) in enumerate(zip(scaled, masked, strict=True))]
    return c0, c1


def decrypt(seed: bytes, c0: Sequence[int], c1: Sequence[int]) -> list[int]:
    phase = [(a + b) % Q for a, b in zip(c0, times_secret(c1, secret(seed)), strict=True)]
    return decoded([(x * T + Q // 2) // Q % T for x in phase])


def encode(c0: Sequence[int], c1: Sequence[int]) -> bytes:
    return b"".join(pack([x % p for x in part], p.bit_length()) for part in (c0, c1) for p in PRIMES)


def decode(data: bytes, rule: str) -> tuple[list[int], list[int]]:
    sizes = [N * p.bit_length() // 8 for p in PRIMES] * 2
    check(len(data) == sum(sizes), rule)
    parts, at = [], 0
    for size, p in zip(sizes, PRIMES * 2, strict=True):
        part = unpack(data[at : at + size], N, p.bit_length(), rule)
        check(all(x < p for x in part), rule)
        parts.append(part)
        at += size
    lift = [Q // p * pow(Q // p, -1, p) for p in PRIMES]
    c0, c1 = ([(a * lift[0] + b * lift[1]) % Q for a, b in zip(parts[i], parts[i + 1], strict=True)] for i in (0, 2))
    return c0, c1
