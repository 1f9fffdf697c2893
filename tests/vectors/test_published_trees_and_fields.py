"""Merkle trees against tree heads from Certificate Transparency's reference; the field and its shares by their laws."""

import numpy as np
import pytest

from secagg import merkle, shamir
from secagg.kernels import gf16
from specs.ref import shamir as oracle

# --- RFC 6962 --------------------------------------------------------------------------------------------------------

LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
HEADS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
# Position and size of the tree, and the path that the reference gives.
PATHS = (
    (0, 1, ()),
    (
        0,
        8,
        (
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ),
    ),
    (
        5,
        8,
        (
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
    ),
    (2, 3, ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",)),
)


@pytest.mark.parametrize("size", range(9))
def test_tree_heads(size):
    assert merkle.root(LEAVES[:size]).hex() == HEADS[size]


@pytest.mark.parametrize(("position", "size", "path"), PATHS)
def test_paths(position, size, path):
    siblings = [bytes.fromhex(node) for node in path]
    assert list(merkle.Tree(LEAVES[:size]).paths()[position]) == siblings
    assert merkle.root_from_path(LEAVES[position], position, size, siblings).hex() == HEADS[size]


# --- GF(2^16) --------------------------------------------------------------------------------------------------------


def raised(base: int, exponent: int) -> int:
    result = 1
    while exponent:
        result = oracle.multiply(result, base) if exponent & 1 else result
        base = oracle.multiply(base, base)
        exponent >>= 1
    return result


def test_the_polynomial_is_primitive():
    """x has order 2^16 - 1 = 3 * 5 * 17 * 257: the ring is a field, and x generates its units."""
    assert gf16.POLYNOMIAL == oracle.POLYNOMIAL
    assert raised(2, 65_535) == 1
    assert all(raised(2, 65_535 // prime) != 1 for prime in (3, 5, 17, 257))


def products(x: int, factors: np.ndarray) -> np.ndarray:
    """x times each factor, as the kernel for shares computes it: the value at x of a polynomial without constant."""
    out = np.empty((1, len(factors)), np.uint16)
    gf16.evaluate(np.stack([np.zeros_like(factors), factors]), np.array([x], np.uint16), out)
    return out[0]


@pytest.mark.parametrize("x", [0, 1, 2, 3, 0x8000, 0x100B, 0xFFFF])
def test_every_multiple(x):
    everything = np.arange(1 << 16, dtype=np.uint16)
    assert products(x, everything).tolist() == [oracle.multiply(x, a) for a in range(1 << 16)]


def test_every_inverse():
    """Powers of x run through all units, and the inverse of x^i is x^-i."""
    logarithm, power = shamir._tables()
    assert sorted(power.tolist()) == list(range(1, 1 << 16))
    inverses = power[-logarithm[1:] % 65_535].tolist()
    assert all(oracle.multiply(a, inverse) == 1 for a, inverse in enumerate(inverses, start=1))
    for a in range(1, 1 << 16, 97):
        assert products(a, np.array(inverses[a - 1 : a], np.uint16)).tolist() == [1]
        assert oracle.inverse(a) == inverses[a - 1]


@pytest.mark.parametrize("t", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("secret_bytes", [2, 34])
def test_shares_are_the_oracles(t, secret_bytes):
    secret, rand = bytes(range(1, secret_bytes + 1)), bytes([t]) * 32
    holders = [1, 2, 3, 255, 256, 257, 4096, 65_535]
    shares = dict(zip(holders, shamir.split(secret, threshold=t, holders=holders, rand=rand), strict=True))
    assert shares == oracle.share(secret, t, holders, rand)
    for at in range(len(holders) - t + 1):
        some = {x: shares[x] for x in holders[at : at + t]}
        assert shamir.combine(some, t) == oracle.combine(some) == secret


def test_fewer_shares_fit_every_secret():
    """With t - 1 shares, each value of the secret belongs to exactly one value of the missing share."""
    shares = oracle.share(b"\1\0", 3, [1, 2, 3], bytes(32))
    known = {x: shares[x] for x in (1, 2)}
    secrets = {shamir.combine(known | {3: bytes([a, b])}, 3) for a in range(256) for b in (0, 7, 255)}
    assert len(secrets) == 768
