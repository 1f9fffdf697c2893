"""Lanes that authenticate a sum: linear, keyed by everything, and equal to plain integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import mac
from secagg.codec import u16, u32
from secagg.keys import derive
from secagg.masks import add_keystream

EPOCH, CONTEXT, KEY = b"e" * 32, b"c" * 32, b"k" * 32
PLACE = {"round_": 7, "context": CONTEXT, "epoch": EPOCH}


def oracle(values: list[int], lane: int) -> int:
    rho = np.zeros(len(values), np.uint64)
    add_keystream(rho, derive(KEY, "mac", u32(7), CONTEXT, u16(lane), epoch=EPOCH))
    return sum(a * b for a, b in zip(rho.tolist(), values, strict=True)) % 2**64


integers = st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None, database=None)
@given(st.lists(integers, max_size=20), st.integers(0, 4))
def test_a_lane_is_a_product_mod_2_64(values, count):
    got = mac.lanes(KEY, np.array(values, np.int64), count, **PLACE)
    assert got == [oracle(values, lane) for lane in range(count)]


@settings(deadline=None, database=None)
@given(st.lists(st.tuples(integers, integers), min_size=1, max_size=9))
def test_lanes_add_up_as_the_vectors_do(pairs):
    """Pitfall 29."""
    one, two = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
    both = (one.view(np.uint64) + two.view(np.uint64)).view(np.int64)
    sums = [(a + b) % 2**64 for a, b in zip(*(mac.lanes(KEY, x, 2, **PLACE) for x in (one, two)), strict=True)]
    assert mac.lanes(KEY, both, 2, **PLACE) == sums


def test_presence_marks_the_sites_of_a_sum():
    assert mac.presence([1, 4], 4).tolist() == [1, 0, 0, 1]
    both = mac.presence([2], 3) + mac.presence([3], 3)
    assert both.tolist() == mac.presence([2, 3], 3).tolist()


@pytest.mark.parametrize("length", [65_535, 65_536, 65_537, 131_073])
def test_long_vectors_are_taken_slice_by_slice(length):
    values = np.arange(length, dtype=np.int64) - length // 2
    assert mac.lanes(KEY, values, 1, **PLACE) == [oracle(values.tolist(), 0)]


def test_lanes_depend_on_everything():
    values = np.array([1, 2, 3], np.int64)
    base = mac.lanes(KEY, values, 2, **PLACE)
    assert base[0] != base[1]
    for change in ({"round_": 8}, {"context": bytes(32)}, {"epoch": bytes(32)}):
        assert not set(base) & set(mac.lanes(KEY, values, 2, **(PLACE | change)))
    assert not set(base) & set(mac.lanes(bytes(32), values, 2, **PLACE))


def test_the_session_key_is_of_these_sites_in_this_order():
    keys = {
        mac.session_key([b"a" * 32, b"b" * 32], epoch=EPOCH),
        mac.session_key([b"b" * 32, b"a" * 32], epoch=EPOCH),
        mac.session_key([b"a" * 32], epoch=EPOCH),
        mac.session_key([b"a" * 32, b"b" * 32], epoch=bytes(32)),
    }
    assert len(keys) == 4
