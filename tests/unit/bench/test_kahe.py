"""The study of key-additive encryption: its transform against the schoolbook's, its sums against Python integers."""

import numpy as np
import pytest

from bench import kahe
from secagg.he.secret import ternary, transform
from secagg.he.slots import residues

RING = kahe.RING


def schoolbook(a: list[int], b: list[int], p: int) -> list[int]:
    """Return a b modulo x^N + 1 and p."""
    size = len(a)
    out = [0] * size
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            sign, k = (1, i + j) if i + j < size else (-1, i + j - size)
            out[k] = (out[k] + sign * x * y) % p
    return out


@pytest.mark.parametrize("degree", [8, 64, 256])
@pytest.mark.parametrize("p", RING.primes)
def test_products_by_transforms_are_those_of_the_schoolbook(degree, p):
    a, b = (residues(bytes([i]) * 32, degree, p) for i in (1, 2))
    a[:2], b[:2] = p - 1, p - 1
    expected = schoolbook(a.tolist(), b.tolist(), p)
    for polynomial in (a, b):
        kahe.forward(polynomial, *kahe.tables(degree, p), np.uint64(p))
    product = kahe.multiplied(a, b, p)
    kahe.inverse(product, *kahe.tables(degree, p, back=True), np.uint64(p))
    assert product.tolist() == expected


@pytest.mark.parametrize("p", RING.primes)
def test_the_transform_is_the_one_of_the_core(p):
    s = ternary(b"s" * 32, RING.degree)
    values = (s % p).astype(np.uint64)
    kahe.forward(values, *kahe.tables(RING.degree, p), np.uint64(p))
    assert values.tolist() == transform(s, p).tolist()


@pytest.mark.parametrize("sites", [3, 17])
def test_sums_open_under_the_sum_of_the_secrets(sites):
    public, most = b"a" * 32, RING.t // sites
    total = np.zeros((2, 2, RING.degree), np.uint64)
    secrets, expected = np.zeros(RING.degree, np.int64), [[0] * RING.degree for _ in range(2)]
    for site in range(1, sites + 1):
        messages = [
            [x**2 % most for x in residues(bytes([site, k]) * 16, RING.degree, 2**60 - 93).tolist()] for k in range(2)
        ]
        secret, coins = bytes([site]) * 32, bytes([site, 1]) * 16
        total += kahe.encrypt(RING, secret, public, coins, messages)
        secrets += ternary(secret, RING.degree)
        expected = [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(expected, messages, strict=True)]
    total %= np.array(RING.primes, np.uint64)[:, None]
    assert kahe.open_sum(RING, secrets, public, total) == expected
    assert kahe.open_sum(RING, secrets - ternary(b"\1" * 32, RING.degree), public, total) != expected


def test_the_ring_bears_as_many_sites_as_the_core():
    assert RING.most_sites > 256
    assert RING.bytes_an_entry < 4.2


def test_the_estimate_is_near_the_table_of_the_standard():
    """Its rows for 128 bits (ternary secrets, classical): 54, 109 and 218 bits."""
    for degree, bits in ((2048, 54), (4096, 109), (8192, 218)):
        assert 125 < kahe.security_bits(degree, bits, 3.2) < 137
    assert kahe.security_bits(RING.degree, 100, 3.2) > 140
