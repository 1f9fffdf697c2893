"""The ring of integers mod 2^b, compared with plain integers."""

import numpy as np
import pytest

from secagg import ring
from secagg.errors import ParameterError
from secagg.packing import lane_dtype

WIDTHS = [2, 3, 8, 31, 32, 33, 48, 63, 64]


@pytest.mark.parametrize("bits", WIDTHS)
def test_embedded_integers_come_back(bits):
    top = 2 ** (bits - 1) - 1
    values = np.array(sorted({0, 1, -1, top, -top, top // 2, -top - 1}), np.int64)
    lanes = ring.embed(values, bits)
    assert lanes.dtype == lane_dtype(bits)
    assert (ring.centre(lanes, bits) == values).all()


@pytest.mark.parametrize("bits", WIDTHS)
def test_sums_wrap_at_the_ring_and_not_at_the_lane(bits):
    """One above the largest is the smallest; bits above b do not count."""
    lanes = ring.embed(np.array([2 ** (bits - 1) - 1, -1, 5], np.int64), bits)
    lanes += ring.embed(np.array([1, 1, -7], np.int64), bits)
    assert ring.centre(lanes, bits).tolist() == [-(2 ** (bits - 1)), 0, -2]


@pytest.mark.parametrize("bits", [2, 11, 31, 33, 63])
def test_bits_above_the_ring_do_not_count(bits):
    dtype = lane_dtype(bits)
    high = np.array([~0 << bits & np.iinfo(dtype).max], dtype)
    assert ring.centre(high, bits).tolist() == [0]
    assert ring.centre(high + np.ones(1, dtype), bits).tolist() == [1]


@pytest.mark.parametrize("bits", WIDTHS)
def test_zeros(bits):
    assert ring.zeros(3, bits).tolist() == [0, 0, 0]
    assert ring.zeros(3, bits).dtype == lane_dtype(bits)


@pytest.mark.parametrize("bits", [-1, 0, 65])
def test_there_is_no_such_ring(bits):
    with pytest.raises(ParameterError):
        ring.zeros(1, bits)
