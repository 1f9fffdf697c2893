"""Encryption under a derived key, checked by decryption in Python integers, and bytes that are not a ciphertext."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import HeadroomError, ParameterError
from secagg.he.bfv import BfvKey
from secagg.he.ciphertext import Ciphertext, CiphertextError
from secagg.he.parameters import NOISE_BOUND, SUMS, HeParameters
from secagg.he.secret import ternary, transform
from secagg.masks import add_keystream

T, N, Q = SUMS.plain_modulus, SUMS.degree, SUMS.modulus
SEED = b"a seed of 32 bytes for one round"


@pytest.fixture(scope="module")
def key() -> BfvKey:
    return BfvKey(SEED, SUMS)


def slots(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, T, N, dtype=np.uint64)  # noqa: TID251 test data


def phase(ciphertext: Ciphertext, coefficient: int) -> int:
    """Return coefficient k of c0 + c1 s modulo q, by the schoolbook."""
    s = ternary(SEED, N).tolist()
    p, r = SUMS.levels
    lift = (r * pow(r, -1, p), p * pow(p, -1, r))
    c0, c1 = (
        [(a * lift[0] + b * lift[1]) % Q for a, b in zip(*part.tolist(), strict=True)] for part in ciphertext.residues
    )
    k = coefficient
    products = (s[j] * (c1[k - j] if j <= k else -c1[k - j + N]) for j in range(N) if s[j])
    return (c0[k] + sum(products)) % Q


def test_the_secret_is_a_keystream_modulo_three():
    lanes = np.zeros(N, np.uint64)
    add_keystream(lanes, SEED)
    assert ternary(SEED, N).tolist() == [lane % 3 - 1 for lane in lanes.tolist()]


@pytest.mark.parametrize("prime", SUMS.primes)
def test_the_transform_is_the_values_at_odd_powers(prime):
    s = ternary(SEED, N)
    values = transform(s, prime)
    root = next(r for g in range(2, 99) if pow(r := pow(g, (prime - 1) // (2 * N), prime), N, prime) == prime - 1)
    psi = min(pow(root, e, prime) for e in range(1, 2 * N, 2))
    for j in (0, 1, 2, 1234, N - 1):
        point = pow(psi, 2 * int(f"{j:012b}"[::-1], 2) + 1, prime)
        horner = 0
        for coefficient in reversed(s.tolist()):
            horner = (horner * point + coefficient) % prime
        assert values[j] == horner


def test_noise_is_below_its_bound(key):
    """The phase of a fresh ciphertext is round(q m / t) + e; nothing of m but its being an integer is needed."""
    for seed in range(3):
        ciphertext = key.encrypt(slots(seed))
        for k in (0, 1, 2047, N - 1):
            scaled = phase(ciphertext, k) * T
            distance = abs((scaled + Q // 2) % Q - Q // 2)  # t (phase - q m / t)
            assert distance <= (2 * NOISE_BOUND + 1) * T // 2


def test_as_many_sums_as_the_bound_allows_are_exact(key):
    """Of one ciphertext again and again, whose errors all have one sign: the worst that coins can do to a sum."""
    given, ciphertext = slots(7), key.encrypt(slots(7))
    total = Ciphertext.zero(SUMS)
    for _ in range(SUMS.most_additions):
        total.add(ciphertext)
    expected = [int(x) * SUMS.most_additions % T for x in given]
    assert key.open(total).tolist() == expected
    assert key.open(ciphertext.scaled(SUMS.most_additions)).tolist() == expected


def test_overflow_and_noise_are_refused_beforehand():
    SUMS.check(SUMS.most_additions)
    SUMS.check(10, scale=-76)
    for parties, scale in ((SUMS.most_additions + 1, 1), (10, 77)):
        with pytest.raises(HeadroomError):
            SUMS.check(parties, scale=scale)
    with pytest.raises(HeadroomError):
        SUMS.check(3, products=1)
    with pytest.raises(ParameterError, match="128 bits"):
        HeParameters(4096, T, (*SUMS.primes, 12289)).check(3)


def test_bytes_come_back_and_another_key_opens_nothing(key):
    given = slots(3)
    data = key.encrypt(given).encode()
    assert len(data) == SUMS.ciphertext_bytes == 74_752
    assert key.open(Ciphertext.decode(data, SUMS)).tolist() == given.tolist()
    assert (BfvKey(b"\1" * 32, SUMS).open(Ciphertext.decode(data, SUMS)) == given).sum() < 3


def test_what_is_no_slot_is_not_encrypted(key):
    for wrong in (np.full(N, T, np.uint64), np.zeros(N - 1, np.uint64), np.zeros((2, N), np.uint64)):
        with pytest.raises(ParameterError):
            key.encrypt(wrong)


def test_contexts_do_not_mix(key):
    other = HeParameters(4096, T, (SUMS.primes[1], SUMS.primes[0], SUMS.primes[2]))
    with pytest.raises(ParameterError):
        key.open(Ciphertext.zero(other))
    with pytest.raises(ParameterError):
        Ciphertext.zero(SUMS).add(Ciphertext.zero(other))
    with pytest.raises(ParameterError, match="polynomials"):
        Ciphertext(SUMS, np.zeros((3, 2, N), np.uint64))  # one that was multiplied


WHOLE = BfvKey(SEED, SUMS).encrypt(slots(1)).encode()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, len(WHOLE)), st.booleans())
def test_any_bytes_are_a_ciphertext_or_a_named_error(splice, at, cut):
    """Spliced, cut, extended, or with residues beyond their primes: found here, and never by a library's parser."""
    data = WHOLE[:at] + splice + (b"" if cut else WHOLE[at + len(splice) :])
    try:
        found = Ciphertext.decode(data, SUMS)
    except CiphertextError:
        return
    assert found.encode() == data


def test_hostile_bytes_take_no_time_and_no_memory():
    """SEAL's own format with a length of 2^60, and a gigabyte of zeros that nobody looks at."""
    tracemalloc.start()
    began = time.perf_counter()
    for data in (b"\x5e\xa1\x10\x04\x03\x02\0\0" + b"\xff" * 7 + b"\x0f", bytes(1 << 20), b"", b"\xff" * len(WHOLE)):
        with pytest.raises(CiphertextError):
            Ciphertext.decode(data, SUMS)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert time.perf_counter() - began < 60  # a bound on hanging, not a measurement
