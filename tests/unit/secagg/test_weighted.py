"""Weighted means: the mean itself within its bound, caps that no site passes, exact whole weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import ring
from secagg.errors import ParameterError
from secagg.params import Rounding, Schema, ring_bits_for
from secagg.quantize import BeyondClipError, Coins, dequantize, quantize
from secagg.weighted import WeightedMean

COINS = Coins(rotation=b"r" * 32, rounding=b"s" * 32)
TERMS = WeightedMean(clip=4.0, cap=1000.0)


def schema(terms: WeightedMean, entries: int, parties: int, **options) -> Schema:
    segments = terms.segments(entries, **options)
    made = Schema(ring_bits=max(ring_bits_for(s.bound, parties) for s in segments), mac_lanes=0, segments=segments)
    made.check(parties)
    return made


def summed(terms: WeightedMean, rows, weights, **options) -> np.ndarray:
    """Return the sum of the sites' vectors through the ring."""
    of = schema(terms, len(rows[0]), len(rows), **options)
    total = ring.zeros(of.length, of.ring_bits)
    for row, weight in zip(rows, weights, strict=True):
        total += ring.embed(quantize(terms.vector(row, weight).vector, of, COINS).values, of.ring_bits)
    return dequantize(ring.centre(total, of.ring_bits), of, COINS.rotation)


@settings(deadline=None, database=None)
@given(
    st.lists(st.tuples(st.lists(st.floats(-9, 9), min_size=3, max_size=3), st.floats(0, 2000)), min_size=1, max_size=9)
)
def test_the_mean_is_within_its_bound(sites):
    rows, weights = zip(*sites, strict=True)
    counted = np.minimum(weights, 1000.0)
    products, weight = TERMS.segments(3)
    n, slack = len(sites), 1 + 1e-9
    if 2 * counted.sum() <= n * weight.step * 1.01:
        return
    expected = counted @ np.clip(rows, -4, 4) / counted.sum()
    bound = n * (products.step + np.abs(expected) * weight.step) / (2 * counted.sum() - n * weight.step)
    assert np.all(np.abs(TERMS.mean(summed(TERMS, rows, weights)) - expected) <= bound * slack + 1e-12)


def test_numbers_of_rows_are_summed_exactly():
    terms = WeightedMean(clip=1.0, cap=2.0**19 - 1)
    weights = [1, 2, 3, 2**19 - 1, 77_777]
    assert summed(terms, [[0.5]] * 5, weights)[-1] == sum(weights)
    assert terms.segments(1)[1].step == 1.0


@pytest.mark.parametrize("value_bits", [2, 3, 20, 52])
@pytest.mark.parametrize("cap", [1e-3, 1.0, 3.0, 1024.0, 1e9])
def test_all_sites_at_the_cap_do_not_wrap(cap, value_bits):
    terms = WeightedMean(clip=4.0, cap=cap, value_bits=value_bits)
    for sign in (1, -1):
        assert terms.mean(summed(terms, [[9.0 * sign]] * 7, [cap * 5] * 7)) == pytest.approx([4.0 * sign], rel=0.5)


def test_values_are_clipped_and_weights_capped():
    vector, clipped = TERMS.vector([8.0, -8.0, 1.0], 5000.0)
    assert (vector.tolist(), clipped) == ([4000.0, -4000.0, 1000.0, 1000.0], 2)


@pytest.mark.parametrize("vector", [[4000.1, 1.0], [1.0, 1000.1], [0.0, 1e300]])
def test_a_vector_beyond_the_caps_is_refused_by_its_schema(vector):
    with pytest.raises(BeyondClipError):
        quantize(vector, schema(WeightedMean(clip=4.0, cap=1000.0), 1, 3))


def test_options_are_of_the_products_alone():
    rows = np.cos(np.outer(np.arange(1, 6), np.arange(64)))
    total = summed(TERMS, rows, [10, 20, 30, 40, 50], rounding=Rounding.STOCHASTIC, rotation=6)
    assert total[-1] == 150
    products, weight = TERMS.segments(64, rotation=6)
    assert (products.rotation, weight.rotation, weight.rounding) == (6, 0, Rounding.NEAREST)
    error = TERMS.mean(total) - np.array([10, 20, 30, 40, 50]) @ rows / 150
    assert np.linalg.norm(error) <= 5 * products.step * 8 / 150


def test_a_site_of_no_weight_takes_no_part():
    assert TERMS.mean(summed(TERMS, [[1.0], [3.0]], [0.0, 10.0])) == pytest.approx([3.0], abs=1e-3)
    with pytest.raises(ParameterError, match="no mean"):
        TERMS.mean(summed(TERMS, [[1.0]], [0.0]))


@pytest.mark.parametrize(("values", "weight"), [([np.nan], 1.0), ([1.0], np.nan), ([1.0], -1.0), ([1.0], np.inf)])
def test_what_is_no_weighted_vector(values, weight):
    with pytest.raises(ParameterError):
        TERMS.vector(values, weight)


@pytest.mark.parametrize(
    "terms",
    [{"clip": 0.0}, {"clip": -1.0}, {"cap": 0.0}, {"cap": np.nan}, {"clip": 1e200, "cap": 1e200}]
    + [{"value_bits": bits} for bits in (1, 63)],
)
def test_terms_that_are_none(terms):
    with pytest.raises(ParameterError):
        WeightedMean(**{"clip": 1.0, "cap": 1.0, **terms})
