"""A contribution made in slices equals the one made from the whole vector."""

from functools import partial

import numpy as np
import pytest

from secagg import mac, ring
from secagg.errors import ParameterError
from secagg.masks import Mask
from secagg.params import Rounding, Schema, Segment
from secagg.protocol.contribution import contribute
from secagg.protocol.ring_vector import CHUNK_LANES, RingVector, seal_vector
from secagg.quantize import Coins, quantize

SITE = 5
KEYS = {"upload_key": b"k" * 32, "associated": b"about"}
COINS = Coins(rotation=b"r" * 32, rounding=b"s" * 32)
MASKS = [Mask(key=bytes([i]) * 32, negate=i % 2 == 1) for i in range(3)]
authenticate = partial(mac.lanes, b"m" * 32, count=2, round_=7, context=bytes(32), epoch=bytes(32))


def schema(*counts: int, rounding: Rounding = Rounding.NEAREST, rotation: int = 0) -> Schema:
    segments = tuple(
        Segment(count=count, clip=2.0 + i, step=0.5, rounding=rounding, rotation=rotation)
        for i, count in enumerate(counts)
    )
    return Schema(ring_bits=21, mac_lanes=2, segments=segments)


@pytest.mark.parametrize(("rounding", "rotation"), [(Rounding.NEAREST, 0), (Rounding.STOCHASTIC, 12)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
@pytest.mark.parametrize(
    "counts", [(1,), (CHUNK_LANES,), (CHUNK_LANES - 1, 3, CHUNK_LANES), (1, 2 * CHUNK_LANES)], ids=str
)
def test_slices_give_what_the_whole_gives(counts, dtype, rounding, rotation):
    of = schema(*counts, rounding=rounding, rotation=rotation)
    vector = (np.arange(of.length) % 13 - 6).astype(dtype)
    values, clipped = quantize(vector, of, COINS)
    lanes = np.array(authenticate(np.append(values, mac.presence([SITE], 9)), start=0), np.uint64)
    whole = RingVector(of, ring.embed(values, of.ring_bits), lanes)
    whole.mask(MASKS)
    made = contribute(vector, of, MASKS, authenticate, COINS, site=SITE, **KEYS)
    assert made.sealed == seal_vector(whole, KEYS["upload_key"], KEYS["associated"])
    assert made.clipped == clipped > 0 or of.length == 1


@pytest.mark.parametrize("at", [0, CHUNK_LANES, CHUNK_LANES + 1])
def test_a_number_that_is_none_is_found_in_any_slice(at):
    vector = np.zeros(CHUNK_LANES + 2)
    vector[at] = np.nan
    with pytest.raises(ParameterError, match="NaN"):
        contribute(vector, schema(CHUNK_LANES + 2), MASKS, authenticate, COINS, site=SITE, **KEYS)


@pytest.mark.parametrize("length", [1, 3])
def test_another_length(length):
    with pytest.raises(ParameterError, match="2 entries"):
        contribute(np.zeros(length), schema(2), MASKS, authenticate, COINS, site=SITE, **KEYS)
