"""A study, not a protocol: key-additive homomorphic encryption from ring-LWE in Numba (specs/adr/0011).

Each site u encrypts under a secret of its own, ct_u = a s_u + t e_u + m_u mod q, with a from a public seed. Sums of
ciphertexts are ciphertexts under the sum of the secrets, so a party that learns that sum, but no single s_u, can open
the sum: there is one upload, and nothing to recover when sites are lost. This module has the arithmetic:
number-theoretic transform, encryption, opening, sizes, and a security estimate. A protocol 2 would have to specify who
opens the sum of the secrets, and prove it safe.

Transforms: Longa and Naehrig 2016, products by a constant after Shoup. Security: primal uSVP by the 2016 estimate
(Albrecht, Goepfert, Virdia, Wunderer 2017), blocks at 2^(0.292 beta + 16.4) times 8 d (Albrecht, Player, Scott 2015).
"""

from dataclasses import dataclass
from functools import cache
from math import e, log2, pi, prod

import numpy as np
from numba import uint64, void
from numpy.typing import NDArray

from secagg.he.parameters import NOISE_BOUND, barrett
from secagg.he.secret import powers, ternary
from secagg.he.slots import residues
from secagg.kernels import modular
from secagg.kernels._jit import kernel, readonly
from secagg.masks import add_keystream

U64Array = NDArray[np.uint64]

_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@kernel(uint64(uint64, uint64))
def _high(a: np.uint64, b: np.uint64) -> np.uint64:
    a1, a0, b1, b0 = a >> _HALF, a & _LOW, b >> _HALF, b & _LOW
    middle = a1 * b0 + (a0 * b0 >> _HALF)
    return a1 * b1 + (middle >> _HALF) + (a0 * b1 + (middle & _LOW) >> _HALF)


@kernel(void(uint64[::1], readonly(uint64), readonly(uint64), uint64))
def forward(a: U64Array, roots: U64Array, quotients: U64Array, p: np.uint64) -> None:
    """Transform in place, to bit-reversed order; quotients are floor(2^64 root / p)."""
    size, blocks = a.shape[0] // 2, 1
    while size >= 1:
        for i in range(blocks):
            w, quotient = roots[blocks + i], quotients[blocks + i]
            for j in range(2 * i * size, 2 * i * size + size):
                turned = a[j + size] * w - _high(a[j + size], quotient) * p
                turned = min(turned, turned - p)
                high, low = a[j] + turned, a[j] + p - turned
                a[j], a[j + size] = min(high, high - p), min(low, low - p)
        size, blocks = size // 2, blocks * 2


@kernel(void(uint64[::1], readonly(uint64), readonly(uint64), uint64))
def inverse(a: U64Array, roots: U64Array, quotients: U64Array, p: np.uint64) -> None:
    """Undo `forward` with the inverse roots; entry 0 of the roots is 1/N and removes the factor N."""
    size, blocks = 1, a.shape[0] // 2
    while blocks >= 1:
        for i in range(blocks):
            w, quotient = roots[blocks + i], quotients[blocks + i]
            for j in range(2 * i * size, 2 * i * size + size):
                total, rest = a[j] + a[j + size], a[j] + p - a[j + size]
                a[j] = min(total, total - p)
                turned = rest * w - _high(rest, quotient) * p
                a[j + size] = min(turned, turned - p)
        size, blocks = size * 2, blocks // 2
    for j in range(a.shape[0]):
        turned = a[j] * roots[0] - _high(a[j], quotients[0]) * p
        a[j] = min(turned, turned - p)


@kernel(void(readonly(uint64), readonly(uint64), uint64, uint64, uint64[::1]))
def add_noise(coins: U64Array, messages: U64Array, t: np.uint64, p: np.uint64, out: U64Array) -> None:
    """Add t e + m to each coefficient; e is the difference of two sums of 21 coins; messages, t < p < 2^58."""
    least = p - np.uint64(21) * t % p  # -21 t mod p
    for i in range(out.shape[0]):
        coin, noise = coins[i], np.uint64(0)
        for bit in range(21):
            noise += (coin >> np.uint64(bit) & np.uint64(1)) - (coin >> np.uint64(bit + 32) & np.uint64(1))
        noise = noise + np.uint64(21)  # 0 to 42
        value = out[i] + noise * t % p
        value = min(value, value - p) + least
        value = min(value, value - p) + messages[i]
        out[i] = min(value, value - p)


@dataclass(frozen=True)
class Ring:
    """Z[x] / (x^N + 1) modulo primes, with k values of `bits` bits per coefficient: t = 2^(k bits)."""

    degree: int
    primes: tuple[int, ...]
    bits: int
    packed: int

    @property
    def modulus(self) -> int:
        return prod(self.primes)

    @property
    def t(self) -> int:
        return 1 << self.bits * self.packed

    @property
    def bytes_an_entry(self) -> float:
        return sum(p.bit_length() for p in self.primes) / 8 / self.packed

    @property
    def most_sites(self) -> int:
        """Largest number of ciphertexts whose sum has |t e + m| < q / 2 for any coins."""
        return (self.modulus // 2 - self.t) // (self.t * NOISE_BOUND)


RING = Ring(4096, (1125899906826241, 1125899906629633), bits=28, packed=3)
"""Ring for 20-bit values of up to 256 sites: 100 bits per coefficient, for 84 bits of sums."""


@cache
def tables(degree: int, p: int, *, back: bool = False) -> tuple[U64Array, U64Array]:
    """Return the powers of psi, or of its inverse, in the kernels' order, and their quotients."""
    roots = [int(root) for root in powers(degree, p)]
    if back:
        roots = [pow(degree, -1, p)] + [pow(root, -1, p) for root in roots[1:]]
    return np.array(roots, np.uint64), np.array([(root << 64) // p for root in roots], np.uint64)


def encrypt(ring: Ring, secret: bytes, public: bytes, coins: bytes, messages: list[list[int]]) -> NDArray[np.uint64]:
    """Return the ciphertexts of polynomials with coefficients in [0, t).

    Shape: messages (c, N); the result (c, primes, N).
    """
    parts = [np.array([[m % p for m in row] for row in messages], np.uint64) for p in ring.primes]
    return encrypt_residues(ring, secret, public, coins, np.stack(parts, axis=1))


def encrypt_residues(ring: Ring, secret: bytes, public: bytes, coins: bytes, parts: U64Array) -> U64Array:
    out = np.empty_like(parts)
    noise = np.zeros(parts.shape[0] * ring.degree, np.uint64)
    add_keystream(noise, coins)
    s = ternary(secret, ring.degree)
    for i, p in enumerate(ring.primes):
        to, back, modulus = tables(ring.degree, p), tables(ring.degree, p, back=True), np.uint64(p)
        s_hat = (s % p).astype(np.uint64)
        forward(s_hat, *to, modulus)
        for number in range(parts.shape[0]):
            c = multiplied(public_polynomial(ring, public, i, number), s_hat, p)
            inverse(c, *back, modulus)
            own = noise[number * ring.degree : (number + 1) * ring.degree]
            add_noise(own, np.ascontiguousarray(parts[number, i]), np.uint64(ring.t % p), modulus, c)
            out[number, i] = c
    return out


def public_polynomial(ring: Ring, public: bytes, prime: int, number: int) -> U64Array:
    """Return the transform of a, sampled directly, since it is uniform as a is."""
    start = (number * len(ring.primes) + prime) * ring.degree
    return residues(public, ring.degree, ring.primes[prime], start=start)


def multiplied(a: U64Array, b: U64Array, p: int) -> U64Array:
    out = np.empty_like(a)
    modular.multiply(a, b, *barrett(p), out)
    return out


def open_sum(ring: Ring, secret_sum: NDArray[np.int64], public: bytes, total: U64Array) -> list[list[int]]:
    """Return the sums of messages modulo t, given the sum of the ciphertexts and of their secrets."""
    q, lifts = ring.modulus, [ring.modulus // p * pow(ring.modulus // p, -1, p) for p in ring.primes]
    opened = []
    for number in range(total.shape[0]):
        rest = []
        for i, p in enumerate(ring.primes):
            s_hat = (secret_sum % p).astype(np.uint64)
            forward(s_hat, *tables(ring.degree, p), np.uint64(p))
            mask = multiplied(public_polynomial(ring, public, i, number), s_hat, p)
            inverse(mask, *tables(ring.degree, p, back=True), np.uint64(p))
            rest.append(((total[number, i].astype(object) - mask.astype(object)) % p).tolist())
        lifted = [sum(map(int.__mul__, map(int, column), lifts)) % q for column in zip(*rest, strict=True)]
        opened.append([(x - q if x > q // 2 else x) % ring.t for x in lifted])
    return opened


def security_bits(degree: int, modulus_bits: float, deviation: float) -> float:
    """Return log2 of the primal attack's cost on (ring-)LWE of dimension N, with the best number of samples."""

    def solves(beta: int) -> int | None:
        delta = ((pi * beta) ** (1 / beta) * beta / (2 * pi * e)) ** (1 / (2 * (beta - 1)))
        for samples in range(degree // 2, 2 * degree, 32):
            d = degree + samples + 1
            if log2(deviation) + log2(beta) / 2 <= (2 * beta - d - 1) * log2(delta) + samples / d * modulus_bits:
                return d
        return None

    low, high = 50, 2000
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if solves(middle) else (middle + 1, high)
    return 0.292 * low + 16.4 + log2(8 * (solves(low) or 1))
