"""Fixed point: edges of the clip, ties, head-room, and values that cannot be summed."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import ring
from secagg.errors import HeadroomError, ParameterError
from secagg.params import Beyond, Rounding, Schema, Segment
from secagg.quantize import BeyondClipError, Coins, Quantizer, dequantize, quantize, quantize_slice

HALF = Segment(count=1, clip=4.0, step=0.5)


def schema(*segments: Segment) -> Schema:
    return Schema(ring_bits=32, mac_lanes=2, segments=segments)


def level(x: float, segment: Segment = HALF) -> tuple[int, int]:
    values, clipped = quantize([x], schema(segment))
    return int(values[0]), clipped


@pytest.mark.parametrize(
    ("x", "expected", "clipped"),
    [
        (0.0, 0, 0),
        (-0.0, 0, 0),
        (4.0, 8, 0),
        (-4.0, -8, 0),
        (np.nextafter(4.0, 9), 8, 0),
        (4.25, 8, 0),  # a tie of 8 and 9, to even: within the limits
        (np.nextafter(4.25, 9), 8, 1),
        (-4.25, -8, 0),
        (np.nextafter(-4.25, -9), -8, 1),
        (4.5, 8, 1),
        (1e300, 8, 1),
        (-1e300, -8, 1),
        (0.25, 0, 0),
        (0.75, 2, 0),
        (-0.25, 0, 0),
        (-0.75, -2, 0),
        (np.nextafter(0.25, 1), 1, 0),
        (5e-324, 0, 0),
    ],
)
def test_rounding_and_clipping(x, expected, clipped):
    assert level(x) == (expected, clipped)


def test_the_largest_number_over_the_smallest_step():
    tiny = Segment(count=1, clip=8 * 5e-324, step=5e-324)
    assert level(1.7e308, tiny) == (8, 1)
    assert level(-1.7e308, tiny) == (-8, 1)


@pytest.mark.parametrize("levels", [2**52, 2**53 + 2, 2**61, 2**62])
def test_levels_beyond_the_precision_of_a_double(levels):
    wide = Segment(count=1, clip=float(levels), step=1.0)
    assert level(float(levels), wide) == (levels, 0)
    assert level(-float(levels) * 4, wide) == (-levels, 1)


def test_each_segment_has_its_own_clip_and_step():
    both = schema(replace(HALF, count=2), Segment(count=1, clip=100.0, step=10.0))
    values, clipped = quantize([9.0, -1.0, 44.0], both)
    assert values.tolist() == [8, -2, 4]
    assert clipped == 1
    assert dequantize(values, both).tolist() == [4.0, -1.0, 40.0]
    assert dequantize(3 * values, both).tolist() == [12.0, -3.0, 120.0]


def test_slices_are_the_whole():
    several = schema(*(replace(HALF, count=count, clip=2.0 * count) for count in (1, 3, 2, 4)))
    vector = np.linspace(-9, 9, 10)
    whole = quantize(vector, several)
    for first, second in itertools.combinations_with_replacement(range(11), 2):
        cuts = itertools.pairwise((0, first, second, 10))
        parts = [quantize_slice(vector[start:end], several, start) for start, end in cuts]
        assert np.concatenate([part.values for part in parts]).tolist() == whole.values.tolist()
        assert sum(part.clipped for part in parts) == whole.clipped > 0


def test_a_slice_beyond_the_schema():
    with pytest.raises(ParameterError, match="does not have 2 entries from 1 on"):
        quantize_slice(np.ones(2), schema(HALF, HALF), 1)


def test_a_segment_that_refuses_takes_nothing_beyond_its_clip():
    strict = replace(HALF, count=2, beyond=Beyond.REFUSE)
    assert quantize([4.0, -4.0], schema(strict)).values.tolist() == [8, -8]
    with pytest.raises(BeyondClipError, match="1 values"):
        quantize([4.0, 4.5], schema(strict))
    assert issubclass(BeyondClipError, ParameterError)


def test_a_segment_that_clips_beside_one_that_refuses():
    both = schema(HALF, replace(HALF, beyond=Beyond.REFUSE))
    assert quantize([99.0, 1.0], both).clipped == 1
    with pytest.raises(BeyondClipError):
        quantize([1.0, 99.0], both)


@pytest.mark.parametrize(
    "vector",
    [[], [1.0, 2.0], [[1.0]], 1.0, [np.nan], [np.inf], [-np.inf], ["1"], [None], [1j], [[1.0], [1.0, 2.0]], [b"1"]],
)
def test_what_is_no_vector_of_the_schema(vector):
    with pytest.raises(ParameterError):
        quantize(vector, schema(HALF))


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "i4", "i8", "u1", "?"])
def test_any_real_array_is_taken(dtype):
    assert quantize(np.ones(1, dtype), schema(HALF)).values.tolist() == [2]


def test_the_callers_array_stays_as_it_was():
    given_ = np.array([99.0, -99.0])
    quantize(given_, schema(HALF, HALF))
    assert given_.tolist() == [99.0, -99.0]


# Rounding at random ------------------------------------------------------------------------------------------------

COINS = Coins(rotation=b"r" * 32, rounding=b"s" * 32)
AT_RANDOM = Segment(count=1, clip=4.1, step=0.5, rounding=Rounding.STOCHASTIC)  # 8.2 levels: the bound is 9


def coins(number: int) -> Coins:
    return COINS._replace(rounding=number.to_bytes(32, "big"))


@pytest.mark.parametrize("key", range(5))
def test_rounding_at_random_is_unbiased_with_the_variance_of_its_fractions(key):
    """Five standard deviations, from exact variances: of the error f (1 - f), of its square f (1 - f) (1 - 2f)^2."""
    m = 100_000
    scaled = np.linspace(-8.2, 8.2, m)
    values = quantize(scaled * 0.5, schema(replace(AT_RANDOM, count=m)), coins(key)).values
    fraction = scaled - np.floor(scaled)
    error = values - scaled
    variance = fraction * (1 - fraction)
    assert set(np.round(error + fraction, 9)) == {0.0, 1.0}
    assert abs(error.sum()) <= 5 * np.sqrt(variance.sum())
    assert abs((error**2 - variance).sum()) <= 5 * np.sqrt((variance * (1 - 2 * fraction) ** 2).sum())
    # No trend, either: what the lower half gains, the upper half would lose.
    assert abs((error * np.sign(scaled)).sum()) <= 5 * np.sqrt(variance.sum())


@pytest.mark.parametrize("fraction", [0.01, 0.25, 0.5, 0.875])
def test_one_value_is_rounded_up_as_often_as_its_fraction_says(fraction):
    m = 40_000
    values = quantize(np.full(m, (3 + fraction) * 0.5), schema(replace(AT_RANDOM, count=m)), COINS).values
    assert set(values) == {3, 4}
    assert abs((values == 4).sum() - m * fraction) <= 5 * np.sqrt(m * fraction * (1 - fraction))


def test_levels_themselves_stay_as_they_are():
    every = np.arange(-8, 9) * 0.5
    assert quantize(every, schema(replace(AT_RANDOM, count=17)), COINS).values.tolist() == list(range(-8, 9))


def test_a_clip_between_two_levels_reaches_the_one_above():
    several = schema(replace(AT_RANDOM, count=1000))
    assert several.segments[0].bound == 9
    values, clipped = quantize(np.full(1000, 4.1), several, COINS)
    assert (set(values), clipped) == ({8, 9}, 0)
    values, clipped = quantize(np.full(1000, -1e308), several, COINS)
    assert (set(values), clipped) == ({-9, -8}, 1000)
    with pytest.raises(BeyondClipError):
        quantize([np.nextafter(4.1, 9)], schema(replace(AT_RANDOM, beyond=Beyond.REFUSE)), COINS)


def test_the_largest_sum_at_random_does_not_wrap_and_one_bit_less_would():
    """Seven parties of bound 9 reach 63 < 2^6; eight reach 72, where 8 bits are needed, though 8 * 8 levels were 64."""
    at_edge = Schema(ring_bits=7, mac_lanes=0, segments=(AT_RANDOM,))
    at_edge.check(7)
    with pytest.raises(HeadroomError):
        at_edge.check(8)
    with pytest.raises(HeadroomError):
        replace(at_edge, ring_bits=6).check(7)
    nine = next(c for c in map(coins, range(100)) if quantize([4.1], at_edge, c).values[0] == 9)
    lane = ring.embed(quantize([4.1], at_edge, nine).values, 7)
    assert ring.centre(sum([lane] * 7, ring.zeros(1, 7)), 7).tolist() == [63]
    assert ring.centre(sum([lane] * 8, ring.zeros(1, 7)), 7).tolist() == [72 - 128]


@pytest.mark.parametrize("levels", [2**52, 2**53 + 2, 2**61, 2**62])
def test_levels_beyond_the_precision_of_a_double_at_random(levels):
    wide = schema(Segment(count=2, clip=float(levels), step=1.0, rounding=Rounding.STOCHASTIC))
    assert quantize([float(levels), -float(levels) * 4], wide, COINS).values.tolist() == [levels, -levels]


def test_slices_at_random_are_the_whole():
    several = schema(replace(AT_RANDOM, count=3), replace(HALF, count=2), replace(AT_RANDOM, count=6))
    vector = np.linspace(-4, 4, 11)
    whole = quantize(vector, several, COINS).values.tolist()
    for cut in range(12):
        parts = [quantize_slice(vector[a:b], several, a, COINS.rounding).values for a, b in ((0, cut), (cut, 11))]
        assert np.concatenate(parts).tolist() == whole


def test_each_key_and_each_place_has_its_own_coins():
    """The errors of two keys, and those of an entry and the next one, are not correlated."""
    m = 50_000
    several = schema(replace(AT_RANDOM, count=m))
    one, two = (quantize(np.full(m, 0.25), several, coins(key)).values - 0.5 for key in (1, 2))
    for other in (two, np.roll(one, 1)):
        assert abs((one * other).sum()) <= 5 * 0.25 * np.sqrt(m)


def test_rounding_at_random_without_a_key():
    with pytest.raises(ParameterError, match="secret key"):
        quantize([1.0], schema(AT_RANDOM))


# Rotation ----------------------------------------------------------------------------------------------------------


def test_a_rotated_sum_is_the_sum():
    """Entries a thousand times the clip of a rotated one fit, and the error is that of fixed point."""
    m, n = 1 << 12, 5
    rotated = schema(Segment(count=m, clip=100.0, step=2.0**-10, rotation=12))
    vectors = np.zeros((n, m))
    vectors[np.arange(n), np.arange(n)] = [5000.0, -4000.0, 3000.0, 2000.0, -1.0]
    total = sum(quantize(vector, rotated, COINS).values for vector in vectors)
    assert [quantize(vector, rotated, COINS).clipped for vector in vectors] == [0] * n
    error = dequantize(total, rotated, COINS.rotation) - vectors.sum(axis=0)
    assert np.linalg.norm(error) <= n * 2.0**-11 * np.sqrt(m)


def test_what_a_rotation_makes_of_numbers_that_are_none():
    rotated = schema(Segment(count=4, clip=1.0, step=0.5, rotation=2))
    for wrong in ([np.nan, 0, 0, 0], [np.inf, 0, 0, -np.inf], [1.7e308] * 4):
        with pytest.raises(ParameterError, match="NaN or infinity"):
            quantize(wrong, rotated, COINS)


# Quantizer ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, database=None)
@given(
    st.lists(st.lists(st.floats(-3, 3), min_size=2, max_size=2), min_size=1, max_size=9),
    st.integers(2, 40),
    st.floats(1e-3, 1e3),
)
def test_sums_are_within_half_a_step_a_party(rows, value_bits, clip):
    quantizer = Quantizer(clip, value_bits, len(rows))
    total = ring.zeros(2, quantizer.ring_bits)
    for row in rows:
        total += quantizer.encode(row)[0]
    expected = np.clip(rows, -clip, clip).sum(axis=0)
    bound = len(rows) * (clip / (2**value_bits - 2) + clip * 2**-50)
    assert np.abs(quantizer.decode(total) - expected).max() <= bound


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("parties", [1, 3, 4, 7, 8])
@pytest.mark.parametrize("value_bits", [2, 3, 20, 33])
def test_the_largest_sum_does_not_wrap(value_bits, parties, sign):
    """Pitfall 17, recipe 24: head-room exactly at its bound: all parties at the clip."""
    quantizer = Quantizer(1.0, value_bits, parties)
    lanes, clipped = quantizer.encode([sign * 5.0])
    assert clipped == 1
    total = ring.zeros(1, quantizer.ring_bits)
    for _ in range(parties):
        total += lanes
    assert quantizer.decode(total).tolist() == pytest.approx([sign * parties], rel=1e-15)
    assert parties * quantizer.levels < 2 ** (quantizer.ring_bits - 1)


def test_one_party_more_than_there_is_head_room_for_would_wrap():
    """Pitfall 17."""
    quantizer = Quantizer(1.0, 2, 3)
    assert quantizer.ring_bits == 3
    total = ring.zeros(1, 3)
    for _ in range(4):
        total += quantizer.encode([1.0])[0]
    assert quantizer.decode(total).tolist() == [-4.0]
    assert Quantizer(1.0, 2, 4).ring_bits == 4


def test_a_clip_for_each_entry():
    quantizer = Quantizer([1.0, 10.0], 8, 2)
    lanes, clipped = quantizer.encode([2.0, 2.0])
    assert clipped == 1
    assert quantizer.decode(lanes) == pytest.approx([1.0, 2.0], abs=0.04)
    with pytest.raises(ParameterError):
        quantizer.encode([1.0])


@pytest.mark.parametrize(
    ("clip", "value_bits", "parties"),
    [
        (0.0, 8, 1),
        (-1.0, 8, 1),
        (np.nan, 8, 1),
        (np.inf, 8, 1),
        ([1.0, 0.0], 8, 1),
        ([[1.0]], 8, 1),
        ("1", 8, 1),
        (1.0, 1, 1),
        (1.0, 63, 1),
        (1.0, 8, 0),
        (1e-320, 20, 1),
    ],
)
def test_quantizers_that_are_none(clip, value_bits, parties):
    with pytest.raises(ParameterError):
        Quantizer(clip, value_bits, parties)


def test_the_widest_quantizer():
    assert Quantizer(1.0, 62, 4).ring_bits == 64
    with pytest.raises(HeadroomError):
        Quantizer(1.0, 62, 5)


@pytest.mark.parametrize("vector", [[np.nan], [np.inf], [[1.0]], 3.0, ["x"]])
def test_a_quantizer_refuses_what_is_no_vector(vector):
    with pytest.raises(ParameterError):
        Quantizer(1.0, 8, 1).encode(vector)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("rotation", [0, 5])
def test_a_quantizer_with_options(rounding, rotation):
    rows = [np.cos(np.arange(100) * (i + 1)) for i in range(4)]
    quantizer = Quantizer(8.0, 16, len(rows), rounding=rounding, rotation=rotation)
    total = ring.zeros(100, quantizer.ring_bits)
    for i, row in enumerate(rows):
        lanes, clipped = quantizer.encode(row, coins(i))
        assert clipped == 0
        total += lanes
    error = quantizer.decode(total, COINS.rotation) - sum(rows)
    assert np.linalg.norm(error) <= len(rows) * quantizer.step * np.sqrt(100)


def test_a_quantizer_at_random_with_a_clip_for_each_entry():
    quantizer = Quantizer([1.0, 10.0], 8, 3, rounding=Rounding.STOCHASTIC)
    lanes, clipped = quantizer.encode([2.0, 2.0], COINS)
    assert clipped == 1
    assert quantizer.decode(lanes) == pytest.approx([1.0, 2.0], abs=0.08)


def test_a_quantizer_at_random_has_room_for_one_level_more():
    assert Quantizer(1.0, 2, 3).ring_bits == 3
    assert Quantizer(1.0, 2, 3, rounding=Rounding.STOCHASTIC).ring_bits == 4


@pytest.mark.parametrize(("clip", "rotation"), [(1.0, -1), (1.0, 17), ([1.0, 2.0], 1)])
def test_rotations_that_are_none(clip, rotation):
    with pytest.raises(ParameterError, match="rotation"):
        Quantizer(clip, 8, 3, rotation=rotation)
