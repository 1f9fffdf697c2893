import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from participant.statistics.language.layout import Block, Layout
from secagg.errors import ParameterError
from secagg.params import Beyond, Schema, ring_bits_for

LAYOUT = Layout(
    (
        Block("rows", (), 1000, exact=True),
        Block("hits", (3,), 1000, exact=True),
        Block("none", (2, 0), (1.0, 2.0)),
        Block("sums", (2, 2), (3.0, 4.0)),
        Block("total", (), 5.0),
    )
)


def test_segments_join_equal_neighbours() -> None:
    whole, first, rest = LAYOUT.segments(10)
    assert (whole.count, whole.clip, whole.step) == (4, 1000, 1.0)
    assert (first.count, first.clip, first.step) == (2, 4.0, 2.0**-7)  # 3 widened to 4, over 2^9 levels
    assert (rest.count, rest.clip, rest.step) == (
        3,
        8.0,
        2.0**-6,
    )  # 4 has no room for rounding and becomes 8, as does 5
    assert {segment.beyond for segment in (whole, first, rest)} == {Beyond.REFUSE}


@given(clip=st.floats(1e-100, 1e100), bits=st.integers(8, 60), sites=st.integers(1, 7))
def test_levels_fit_the_value_bits(clip: float, bits: int, sites: int) -> None:
    (segment,) = Layout((Block("x", (), clip),)).segments(bits)
    segment.check()
    assert segment.levels == 2 ** (bits - 1)
    assert clip * (1 + 2**-21) < segment.clip <= 2.001 * clip
    Schema(ring_bits=ring_bits_for(segment.levels, sites), mac_lanes=0, segments=(segment,)).check(sites)


def test_round_trip() -> None:
    vector = np.arange(float(LAYOUT.length))
    arrays = LAYOUT.unflatten(vector)
    assert {name: array.shape for name, array in arrays.items()} == {
        "rows": (),
        "hits": (3,),
        "none": (2, 0),
        "sums": (2, 2),
        "total": (),
    }
    np.testing.assert_array_equal(LAYOUT.flatten(arrays), vector)


def test_steps_have_the_blocks_shapes() -> None:
    steps = LAYOUT.steps(10)
    assert steps["rows"] == 1.0
    np.testing.assert_array_equal(steps["sums"], [[2.0**-7] * 2, [2.0**-6] * 2])


@pytest.mark.parametrize(
    ("blocks", "complaint"),
    [
        ((Block("a", (), 1.0), Block("a", (), 1.0)), "same name"),
        ((Block("a", (2,), (1.0,)),), "one clip for each index"),
        ((Block("a", (), (1.0,)),), "one clip for each index"),
        ((Block("a", (), 0.0),), "not positive"),
        ((Block("a", (), float("inf")),), "not positive"),
        ((Block("a", (), float("nan")),), "not positive"),
        ((Block("a", (0,), 1.0),), "1 to"),
        ((Block("a", (1 << 20, 1 << 11), 1.0),), "1 to"),
    ],
)
def test_refused(blocks: tuple[Block, ...], complaint: str) -> None:
    with pytest.raises(ParameterError, match=complaint):
        Layout(blocks)


def test_too_many_segments() -> None:
    clips = tuple(4.0 ** (i % 2) for i in range(5000))
    with pytest.raises(ParameterError, match="4096 segments"):
        Layout((Block("a", (5000,), clips),)).segments(20)


@pytest.mark.parametrize("bits", [7, 61])
def test_value_bits_out_of_range(bits: int) -> None:
    with pytest.raises(ParameterError, match="value_bits"):
        LAYOUT.segments(bits)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"total": np.array([1.0])}, "shape"),
        ({"total": np.array(np.nan)}, "NaN or infinity"),
        ({"total": np.array(np.inf)}, "NaN or infinity"),
        ({"more": np.array(1.0)}, "do not match the layout"),
    ],
)
def test_flatten_refuses(changes: dict, complaint: str) -> None:
    arrays = LAYOUT.unflatten(np.zeros(LAYOUT.length))
    with pytest.raises(ParameterError, match=complaint):
        LAYOUT.flatten(arrays | changes)


def test_unflatten_refuses_another_length() -> None:
    with pytest.raises(ParameterError, match="9 entries"):
        LAYOUT.unflatten(np.zeros(8))
