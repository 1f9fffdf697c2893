"""Shamir's shares, compared with a second implementation in plain integers."""

from itertools import combinations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.shamir import combine, split
from tests.support.integers import interpolate, polynomial

RAND = bytes(range(32))
SECRET = b"\xff\xff\0\0\1\0\0\1secret!!"


def symbols(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


def dealt(threshold: int = 3, holders: tuple[int, ...] = (1, 2, 3, 4, 5), secret: bytes = SECRET) -> dict[int, bytes]:
    return dict(zip(holders, split(secret, threshold=threshold, holders=holders, rand=RAND), strict=True))


@pytest.mark.parametrize("threshold", [1, 2, 3, 5])
@pytest.mark.parametrize("holders", [(1, 2, 3, 4, 5), (65_535, 1, 32_768, 2, 4_096), (7, 6, 5, 4, 3)])
def test_shares_are_values_of_polynomials(threshold, holders):
    """Coefficients of degree 1 for all symbols come first in the keystream, then those of degree 2."""
    width = len(SECRET) // 2
    stream = Cipher(AES256(RAND), CTR(bytes(16))).encryptor().update(bytes((threshold - 1) * len(SECRET)))
    coefficients = symbols(SECRET + stream)
    for holder, share in dealt(threshold, holders).items():
        expected = [polynomial(coefficients[j::width], holder) for j in range(width)]
        assert symbols(share) == expected


@settings(deadline=None, database=None, max_examples=150)
@given(st.data())
def test_any_threshold_of_shares_rebuild_the_secret(data):
    holders = data.draw(st.lists(st.integers(1, 65_535), min_size=1, max_size=9, unique=True))
    threshold = data.draw(st.integers(1, len(holders)))
    secret = data.draw(st.binary(min_size=1, max_size=20)) * 2
    shares = dict(
        zip(
            holders,
            split(secret, threshold=threshold, holders=holders, rand=data.draw(st.binary(min_size=32, max_size=32))),
            strict=True,
        )
    )
    chosen = data.draw(st.permutations(holders))[: data.draw(st.integers(threshold, len(holders)))]
    assert combine({holder: shares[holder] for holder in chosen}, threshold) == secret


@pytest.mark.parametrize("threshold", [1, 2, 3, 4, 5])
def test_every_subset(threshold):
    shares = dealt(threshold)
    for size in range(1, 6):
        for chosen in combinations(shares, size):
            some = {holder: shares[holder] for holder in chosen}
            if size >= threshold:
                assert combine(some, threshold) == SECRET
            else:
                with pytest.raises(ParameterError):
                    combine(some, threshold)


def test_the_oracle_rebuilds_it_too():
    shares = dealt(3, (9, 65_535, 300, 4))
    points = [
        {holder: symbols(share)[j] for holder, share in list(shares.items())[:3]} for j in range(len(SECRET) // 2)
    ]
    assert [interpolate(one) for one in points] == symbols(SECRET)


def test_one_share_too_few_fits_every_secret():
    """With two of three shares, each value of the first symbol has its own third share: nothing is ruled out."""
    shares = dealt(3)
    known = {1: symbols(shares[1])[0], 2: symbols(shares[2])[0]}
    thirds = {interpolate({0: value, **known}, at=3) for value in range(0, 0x10000, 257)}
    assert len(thirds) == len(range(0, 0x10000, 257))


@pytest.mark.parametrize(("wrong", "count"), [(1, 4), (3, 4), (4, 4), (2, 5), (5, 5)])
def test_a_wrong_share_beside_enough_others_is_noticed(wrong, count):
    """Pitfall 18."""
    shares = dict(list(dealt(3).items())[:count])
    shares[wrong] = bytes([shares[wrong][0] ^ 1]) + shares[wrong][1:]
    with pytest.raises(ParameterError, match="polynomial"):
        combine(shares, 3)


def test_exactly_enough_shares_always_give_something():
    """Why whoever combines holds the result against its commitment."""
    shares = dict(list(dealt(3).items())[:3])
    shares[2] = bytes(len(SECRET))
    assert combine(shares, 3) != SECRET


@pytest.mark.parametrize(
    "wrong",
    [
        {"holders": (0, 1, 2)},
        {"holders": (1, 1, 2)},
        {"holders": (1, 2, 65_536)},
        {"holders": (-1, 2, 3)},
        {"holders": ()},
        {"threshold": 0},
        {"threshold": 4},
        {"threshold": -1},
        {"secret": b""},
        {"secret": b"odd"},
        {"rand": b""},
        {"rand": bytes(31)},
        {"rand": bytes(33)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_split(wrong):
    """Pitfall 18, recipe 23."""
    with pytest.raises(ParameterError):
        split(**{"secret": SECRET, "threshold": 2, "holders": (1, 2, 3), "rand": RAND, **wrong})


@pytest.mark.parametrize(
    ("shares", "threshold"),
    [
        ({}, 1),
        ({}, 0),
        ({1: b"ab"}, 0),
        ({1: b"ab"}, 2),
        ({0: b"ab", 1: b"ab"}, 2),
        ({1: b"ab", 65_536: b"ab"}, 2),
        ({1: b"ab", 2: b"abcd"}, 2),
        ({1: b"", 2: b""}, 2),
        ({1: b"a", 2: b"a"}, 2),
    ],
)
def test_what_cannot_be_combined(shares, threshold):
    """Pitfall 18, recipe 23."""
    with pytest.raises(ParameterError):
        combine(shares, threshold)


def test_shares_depend_on_the_randomness_alone():
    """Pitfall 7."""
    assert dealt() == dealt()
    other = split(SECRET, threshold=3, holders=(1, 2, 3, 4, 5), rand=bytes(32))
    assert not set(other) & set(dealt().values())


def test_shares_are_linear():
    one, two = dealt(secret=b"\1\2\3\4"), dealt(secret=b"\5\6\7\x08")
    both = {holder: bytes(a ^ b for a, b in zip(one[holder], two[holder], strict=True)) for holder in one}
    assert combine(both, 3) == bytes([1 ^ 5, 2 ^ 6, 3 ^ 7, 4 ^ 8])


def test_as_many_holders_as_a_roster_may_have():
    holders = range(1, 65_536)
    shares = split(b"secret", threshold=2, holders=holders, rand=RAND)
    assert combine({1: shares[0], 65_535: shares[-1]}, 2) == b"secret"
