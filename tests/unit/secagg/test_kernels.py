"""Every kernel, compiled and as plain Python, equals the oracle in plain integers."""

import math

import numpy as np
import pytest

from secagg.he.parameters import barrett
from secagg.kernels import bits as bit_kernels
from secagg.kernels import gf16, levels, modular
from secagg.packing import lane_dtype, packed_bytes
from tests.support.integers import FIELD, inverse, packed, polynomial, times

EDGES = [0, 1, 2, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF, 0x1234, 0x100B]


def forms(kernel):
    """Return a kernel compiled, and as the Python function that it was written as."""
    return [kernel, getattr(kernel, "py_func", kernel)]


def symbols(*values):
    return np.array(values, np.uint16)


def noise(seed: int, count: int) -> list[int]:
    """Return 64-bit values that look random: a Weyl sequence through a mixer."""
    values = []
    for i in range(1, count + 1):
        z = (seed * 0xD1342543DE82EF95 + i * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        values.append(z ^ z >> 31)
    return values


def test_the_field_of_the_oracle_is_a_field():
    assert gf16.POLYNOMIAL == FIELD
    assert all(times(a, inverse(a)) == 1 for a in EDGES[1:])
    assert times(2, 0x8000) == 0x100B


@pytest.mark.parametrize("evaluate", forms(gf16.evaluate), ids=["compiled", "python"])
@pytest.mark.parametrize("degree", [1, 2, 3, 7])
@pytest.mark.parametrize("width", [0, 1, 3])
def test_evaluate(evaluate, degree, width):
    values = [value & 0xFFFF for value in noise(degree, degree * width)]
    values[: min(len(values), len(EDGES))] = EDGES[: len(values)]
    coefficients = symbols(*values).reshape(degree, width)
    out = np.empty((len(EDGES), width), np.uint16)
    with np.errstate(over="ignore"):  # plain scalars warn where compiled code wraps, as it should
        evaluate(coefficients, symbols(*EDGES), out)
    expected = [[polynomial(coefficients[:, j].tolist(), x) for j in range(width)] for x in EDGES]
    assert out.tolist() == expected


@pytest.mark.parametrize("weighted_sum", forms(gf16.weighted_sum), ids=["compiled", "python"])
@pytest.mark.parametrize("count", [0, 1, 2, 10])
@pytest.mark.parametrize("width", [0, 1, 5])
def test_weighted_sum(weighted_sum, count, width):
    weights = symbols(*EDGES[:count])
    rows = symbols(*(value & 0xFFFF for value in noise(count, count * width))).reshape(count, width)
    out = np.full(width, 0xAAAA, np.uint16)
    with np.errstate(over="ignore"):
        weighted_sum(weights, rows, out)
    expected = [0] * width
    for weight, row in zip(weights.tolist(), rows.tolist(), strict=True):
        expected = [old ^ times(weight, value) for old, value in zip(expected, row, strict=True)]
    assert out.tolist() == expected


@pytest.mark.parametrize("a", EDGES)
@pytest.mark.parametrize("weighted_sum", forms(gf16.weighted_sum), ids=["compiled", "python"])
def test_products_at_the_edges(weighted_sum, a):
    out = np.empty(len(EDGES), np.uint16)
    with np.errstate(over="ignore"):
        weighted_sum(symbols(a), symbols(*EDGES).reshape(1, -1), out)
    assert out.tolist() == [times(a, b) for b in EDGES]


def quotient(value: float, step: float) -> float:
    """Return value / step, infinite where binary64 has no such number."""
    return math.copysign(math.inf, value) if abs(value) > 1e300 and step < 1 else value / step


def level(value: float, step: float, most: int) -> int:
    """Return the integer of one value by Python's own numbers."""
    scaled = quotient(value, step)
    if math.isinf(scaled):
        return most if scaled > 0 else -most
    return max(-most, min(most, round(scaled)))


@pytest.mark.parametrize("to_levels", forms(levels.to_levels), ids=["compiled", "python"])
@pytest.mark.parametrize("most", [1, 5, 2**52 + 1, 2**53 + 1, 2**62 - 1, 2**62])
def test_to_levels(to_levels, most):
    reals = [0.0, -0.0, 0.25, 0.75, 1.25, -0.25, -0.75, 2.5, -2.51, 1e9, -(2.0**51) - 0.5, 2.0**62, -(2.0**63), 1e308]
    reals += [-real for real in reals]
    for steps in ([0.5], [1e-9], [3.0] * len(reals), [0.5 + i for i in range(len(reals))]):
        out = np.empty(len(reals), np.int64)
        with np.errstate(over="ignore"):  # infinite in between, as a compiled division is without a word
            moved = to_levels(np.array(reals), np.array(steps), most, out)
        each = steps * len(reals) if len(steps) == 1 else steps
        assert out.tolist() == [level(real, step, most) for real, step in zip(reals, each, strict=True)]
        scaled = [quotient(real, step) for real, step in zip(reals, each, strict=True)]
        assert moved == sum(abs(one) == math.inf or abs(round(one)) > float(most) for one in scaled)


@pytest.mark.parametrize("bits", range(1, 65))
def test_pack_and_unpack(bits):
    dtype = lane_dtype(bits)
    width = 8 * np.dtype(dtype).itemsize
    for count in (0, 1, 2, 3, 7, 8, 9, 17, 80):  # the last: lanes that are read by words, at every bit width
        edges = [0, 1, 2**bits - 1, 2 ** (bits - 1), 2**width - 1, 2**63 % 2**width]
        lanes = [value % 2**width for value in (edges + noise(bits, 80))[:count]]
        expected = packed(lanes, bits)
        for pack, unpack in zip(forms(bit_kernels.pack), forms(bit_kernels.unpack), strict=True):
            size = packed_bytes(count, bits)
            words = np.empty((size + 7) // 8, np.uint64)
            pack(np.array(lanes, dtype), bits, words)
            data = words.view(np.uint8)[:size]
            assert data.tobytes() == expected
            back = np.empty(count, dtype)
            unpack(data, bits, back)
            assert back.tolist() == [lane % 2**bits for lane in lanes]


PRIMES = [12_289, (1 << 31) - 1, (1 << 60) - 173]


def residues(prime: int, seed: int) -> np.ndarray:
    """Return residues modulo a prime, its edges first."""
    return np.array([0, 1, prime - 1, prime - 1, *(value % prime for value in noise(seed, 40))], np.uint64)


@pytest.mark.parametrize("multiply", forms(modular.multiply), ids=["compiled", "python"])
@pytest.mark.parametrize("prime", PRIMES)
def test_products_modulo_a_prime(multiply, prime):
    a, b = residues(prime, 1), residues(prime, 2)[::-1].copy()
    out = np.empty_like(a)
    with np.errstate(over="ignore"):
        multiply(a, b, *map(np.uint64, barrett(prime)), out)
    assert out.tolist() == [x * y % prime for x, y in zip(a.tolist(), b.tolist(), strict=True)]


@pytest.mark.parametrize("dot", forms(modular.dot), ids=["compiled", "python"])
@pytest.mark.parametrize("prime", PRIMES)
def test_inner_products_modulo_a_prime(dot, prime):
    a, b = residues(prime, 3), residues(prime, 4)
    with np.errstate(over="ignore"):
        found = dot(a, b, *map(np.uint64, barrett(prime)))
    assert int(found) == sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True)) % prime


@pytest.mark.parametrize("accumulate", forms(modular.accumulate), ids=["compiled", "python"])
@pytest.mark.parametrize("settle", forms(modular.settle), ids=["compiled", "python"])
@pytest.mark.parametrize("prime", PRIMES)
def test_sums_of_wide_lanes_settle_modulo_a_prime(accumulate, settle, prime):
    """Lanes of 128 bits as four words, added and subtracted; then reduced into slots."""
    count, sums, expected = 5, np.zeros(20, np.int64), [0] * 5
    for seed, sign in ((1, 1), (2, -1), (3, -1), (4, 1), (5, -1)):
        words = np.array([value & 0xFFFFFFFF for value in noise(seed, 4 * count)], np.uint32)
        accumulate(words, sign, sums)
        lanes = [sum(int(words[4 * i + j]) << (32 * j) for j in range(4)) for i in range(count)]
        expected = [x + sign * lane for x, lane in zip(expected, lanes, strict=True)]
    slots = residues(prime, 6)[:count].copy()
    before = slots.tolist()
    with np.errstate(over="ignore"):
        settle(sums, *map(np.uint64, barrett(prime)), slots)
    assert slots.tolist() == [(x + y) % prime for x, y in zip(before, expected, strict=True)]
