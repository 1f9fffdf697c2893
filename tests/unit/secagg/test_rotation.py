"""Rotation: orthogonal, linear, with the specification's blocks, and undone exactly where requested."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.masks import add_keystream
from secagg.params import Segment
from secagg.rotation import rotate_back, rotated

KEY = b"r" * 32
PLAIN = Segment(count=1, clip=1.0, step=0.5)


def segments(*shape: tuple[int, int]) -> list[Segment]:
    return [replace(PLAIN, count=count, rotation=k) for count, k in shape]


def oracle(vector: np.ndarray, blocks: list[tuple[int, int]]) -> np.ndarray:
    """Each block, given by its bounds, times the matrix itself."""
    words = np.zeros(len(vector), np.uint32)
    add_keystream(words, KEY)
    result = vector * np.where(words % 2, -1.0, 1.0)
    covered = np.zeros(len(vector), bool)
    for start, end in blocks:
        matrix = np.ones((1, 1))
        while len(matrix) < end - start:
            matrix = np.block([[matrix, matrix], [matrix, -matrix]])
        result[start:end] = matrix @ result[start:end] / np.sqrt(end - start)
        covered[start:end] = True
    return np.where(covered, result, vector)


@pytest.mark.parametrize(
    ("shape", "blocks"),
    [
        ([(1, 1)], [(0, 1)]),
        ([(2, 1)], [(0, 2)]),
        ([(8, 3)], [(0, 8)]),
        ([(8, 2)], [(0, 4), (4, 8)]),
        ([(7, 2)], [(0, 4), (4, 6), (6, 7)]),
        ([(7, 16)], [(0, 4), (4, 6), (6, 7)]),
        ([(3, 0), (5, 1), (2, 0), (4, 2)], [(3, 5), (5, 7), (7, 8), (10, 14)]),
    ],
)
def test_blocks_are_those_of_the_specification(shape, blocks):
    vector = np.cos(np.arange(sum(count for count, _ in shape)))
    np.testing.assert_allclose(rotated(vector, segments(*shape), KEY), oracle(vector, blocks), atol=1e-14)


@settings(deadline=None, database=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 9)), min_size=1, max_size=4), st.integers(0, 2**32))
def test_lengths_stay_sums_rotate_and_the_way_back_is_exact(shape, seed):
    rng = np.random.default_rng(seed)  # noqa: TID251 test data
    cut = segments(*shape)
    one, two = rng.normal(size=(2, sum(count for count, _ in shape)))
    first, second = rotated(one, cut, KEY), rotated(two, cut, KEY)
    np.testing.assert_allclose(np.linalg.norm(first), np.linalg.norm(one), rtol=1e-12)
    np.testing.assert_allclose(rotated(one + two, cut, KEY), first + second, atol=1e-12)
    rotate_back(first, cut, KEY)
    np.testing.assert_allclose(first, one, atol=1e-12)


@pytest.mark.parametrize("size", [1 << 16, (1 << 17) + 3])
def test_one_large_entry_is_spread_over_its_block(size):
    vector = np.zeros(size)
    vector[5] = 256.0
    turned = rotated(vector, segments((size, 16)), KEY)
    assert set(np.abs(turned[: 1 << 16])) == {1.0}
    assert not turned[1 << 16 :].any()
    rotate_back(turned, segments((size, 16)), KEY)
    assert np.array_equal(turned, vector)  # powers of two: nothing was rounded


def test_signs_are_of_the_key_and_the_place():
    vector = np.ones(256)
    one, other = (rotated(vector, segments((256, 1)), key) for key in (KEY, bytes(32)))
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[:128], one[128:])


def test_without_a_rotation_nothing_is_copied_and_no_key_is_needed():
    vector = np.ones(4, np.float32)
    assert rotated(vector, segments((4, 0)), None) is vector
    assert vector.tolist() == [1.0] * 4


def test_the_callers_vector_stays_as_it_was():
    vector = np.ones(4)
    rotated(vector, segments((4, 2)), KEY)
    assert vector.tolist() == [1.0] * 4


@pytest.mark.parametrize("turn", [rotated, rotate_back])
def test_a_rotation_without_its_key(turn):
    with pytest.raises(ParameterError, match="key"):
        turn(np.ones(4), segments((4, 2)), None)
