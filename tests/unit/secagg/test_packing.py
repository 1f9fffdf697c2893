"""Packed elements, compared with a bit stream in plain integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.packing import lane_dtype, pack, packed_bytes, unpack
from tests.support.integers import packed


@settings(deadline=None, database=None, max_examples=300)
@given(st.integers(1, 64), st.lists(st.integers(0, 2**64 - 1), max_size=40))
def test_packed_elements_are_a_stream_of_bits(bits, values):
    dtype = lane_dtype(bits)
    lanes = np.array([value % 2 ** (8 * np.dtype(dtype).itemsize) for value in values], dtype)
    data = pack(lanes, bits)
    assert data == packed(values, bits)
    assert len(data) == packed_bytes(len(values), bits)
    back = unpack(data, bits, len(values))
    assert back.dtype == dtype
    assert back.tolist() == [value % 2**bits for value in values]


@pytest.mark.parametrize("bits", [1, 5, 11, 31, 33, 63])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_spare_bits_are_refused(bits, count):
    spare = -count * bits % 8
    data = bytearray(pack(np.zeros(count, lane_dtype(bits)), bits))
    for bit in range(spare):
        data[-1] = 0x80 >> bit
        with pytest.raises(ParameterError, match="spare"):
            unpack(bytes(data), bits, count)
    if spare < 8:
        data[-1] = 0x80 >> spare
        assert unpack(bytes(data), bits, count).any()


@pytest.mark.parametrize("bits", [1, 8, 11, 32, 33, 64])
@pytest.mark.parametrize("change", [-1, 1])
def test_another_length_is_refused(bits, change):
    data = bytes(packed_bytes(9, bits) + change)
    with pytest.raises(ParameterError):
        unpack(data, bits, 9)


@pytest.mark.parametrize("bits", [0, -1, 65])
def test_widths_that_no_element_has(bits):
    for attempt in (
        lambda: lane_dtype(bits),
        lambda: pack(np.zeros(1, np.uint32), bits),
        lambda: unpack(b"", bits, 0),
    ):
        with pytest.raises(ParameterError):
            attempt()


@pytest.mark.parametrize(
    "lanes",
    [np.zeros(2, np.uint64), np.zeros(2, np.int32), np.zeros(2, ">u4"), np.zeros((1, 2), np.uint32), np.float64(1)],
)
def test_arrays_that_are_no_lanes(lanes):
    with pytest.raises(ParameterError):
        pack(lanes, 11)


def test_a_strided_array_is_packed_as_it_reads():
    lanes = np.arange(10, dtype=np.uint32)[::3]
    assert pack(lanes, 11) == packed([0, 3, 6, 9], 11)
    assert pack(lanes, 32) == packed([0, 3, 6, 9], 32)


def test_packing_leaves_the_array_as_it_was():
    lanes = np.array([2**32 - 1], np.uint32)
    pack(lanes, 5)
    assert lanes.tolist() == [2**32 - 1]


def test_unpacked_lanes_can_be_added_to():
    for bits in (11, 32, 64):
        lanes = unpack(pack(np.ones(3, lane_dtype(bits)), bits), bits, 3)
        lanes += lanes
        assert lanes.tolist() == [2, 2, 2]
