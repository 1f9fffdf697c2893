"""Fixed-point conversion of reals to ring integers and back, with clip, step and headroom per entry.

Spec: 02-protocol §4. With levels = round(clip / step), a value x becomes

- rounding to nearest: round(x / step), ties to even, clamped to [-levels, levels];
- random rounding: x is first clamped to [-clip, clip]; then floor(x / step), or one more with probability equal to the
  fractional part. Its mean is x / step, its variance f (1 - f) for a fraction f.

Sums never wrap around. Rounded to nearest, an integer is at most levels in absolute value. With random rounding, |x| /
step is at most fl(clip / step), since binary64 division is monotone, and fl(clip / step) <= levels + 1/2; so the
integer above is at most levels + 1. Let B be that bound (`Segment.bound`) and n the number of sites: the sum S of n
such integers has |S| <= n B, and every schema must satisfy n B < 2^(b-1) before anything is masked. So S lies between
-2^(b-1) and 2^(b-1), in which range the centred residue of S mod 2^b is S itself. The bound is tight: with
n B = 2^(b-1) the sum n B would be read as -n B.

The sum of n decoded values differs from the sum of the clipped values by at most n * step / 2 if rounded to nearest;
with random rounding by less than n * step, with mean 0 and a standard deviation of at most sqrt(n) * step / 2. Random
rounding uses 53 bits of a keystream per entry, so its probabilities are exact to 2^-53.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg import kernels, ring
from secagg.errors import ParameterError
from secagg.masks import add_keystream
from secagg.packing import Lanes
from secagg.params import MAX_ROTATION, Beyond, Rounding, Schema, Segment, ring_bits_for
from secagg.rotation import rotate_back, rotated

Numbers = NDArray[Any]
Reals = NDArray[np.float64]


class Quantized(NamedTuple):
    """Signed integers of a vector, and the number of its values that were moved to the clip."""

    values: NDArray[np.int64]
    clipped: int


class Coins(NamedTuple):
    """Two 32-byte keys, from which rotated or randomly rounded segments draw.

    Attributes:
        rotation: key that fixes the signs of a rotation; public, the same for all sites in a round.
        rounding: secret key, drawn afresh for every vector; whoever knows it learns more about a sum's addends.
    """

    rotation: bytes
    rounding: bytes


class BeyondClipError(ParameterError):
    """A value lies beyond the clip of a segment whose schema refuses such values."""


def quantize(vector: ArrayLike, schema: Schema, coins: Coins | None = None) -> Quantized:
    """Return the integers of a vector under a round's schema.

    Args:
        vector: (m,) finite numbers, m the schema's length.
        coins: keys; needed if a segment is rotated or rounded at random.

    Raises:
        ParameterError: wrong length, NaN or infinity, or missing coins.
        BeyondClipError: a value lies beyond the clip of a segment with `Beyond.REFUSE`.
    """
    rotation, rounding = coins or (None, None)
    return quantize_slice(rotated(vector_of(vector, schema.length), schema.segments, rotation), schema, 0, rounding)


def quantize_slice(reals: Numbers, schema: Schema, start: int, rounding: bytes | None = None) -> Quantized:
    """Return the integers of entries [start, start + k) of a vector that is already rotated as its schema says.

    Args:
        reals: (k,), these entries.
        rounding: secret key of the vector's coins.

    Raises like `quantize`.
    """
    reals = _finite(reals)
    values = np.empty(len(reals), np.int64)
    clipped, at = 0, -start  # start of the segment, relative to the first of these entries
    for segment in schema.segments:
        part = slice(max(at, 0), max(at + segment.count, 0))
        at += segment.count
        values[part], count = _integers(reals[part], segment, rounding, start + part.start)
        if count and segment.beyond is Beyond.REFUSE:
            raise BeyondClipError(f"{count} values lie beyond the clip of their segment, whose schema refuses them")
        clipped += count
    if len(reals) > at:
        raise ParameterError(f"the schema does not have {len(reals)} entries from {start} on")
    return Quantized(values, clipped)


def dequantize(values: NDArray[np.int64], schema: Schema, rotation: bytes | None = None) -> Reals:
    """Return the reals of integers, or of sums of integers: each times its segment's step, and rotated back.

    Args:
        rotation: public key of the coins; needed if a segment is rotated.
    """
    steps = np.repeat([segment.step for segment in schema.segments], [segment.count for segment in schema.segments])
    reals: Reals = values * steps
    rotate_back(reals, schema.segments, rotation)
    return reals


class Quantizer:
    """Fixed-point conversion of vectors with one clip, or one clip per entry, and a given number of bits per value.

    Args:
        clip: positive; a scalar, or (m,) for one per entry.
        value_bits: 2 to 62; a value takes one of 2^value_bits - 1 levels.
        parties: largest number of vectors to be summed.
        rounding: to the nearest level, or at random to one of the two next to the value.
        rotation: vectors are rotated in blocks of 2^rotation entries, which must share one clip; 0 for no rotation.

    Attributes:
        ring_bits: number of bits b of a ring that holds the sum of `parties` vectors, whatever their values.

    Raises:
        ParameterError: values out of range.
        HeadroomError: 64 bits cannot hold the sum.
    """

    def __init__(
        self,
        clip: ArrayLike,
        value_bits: int,
        parties: int,
        *,
        rounding: Rounding = Rounding.NEAREST,
        rotation: int = 0,
    ) -> None:
        if not 2 <= value_bits <= 62 or parties < 1:
            raise ParameterError("value_bits must be 2 to 62, and parties at least 1")
        self.clip = as_reals(clip)
        if self.clip.ndim > 1 or not np.all(np.isfinite(self.clip) & (self.clip > 0)):
            raise ParameterError("clip must be positive and finite: one number, or one per entry")
        if not 0 <= rotation <= MAX_ROTATION or (rotation and self.clip.ndim):
            raise ParameterError(f"rotation must be 0 to {MAX_ROTATION}, and a rotated vector must have one clip")
        self.rounding, self.rotation = rounding, rotation
        self.levels = (1 << (value_bits - 1)) - 1
        self.step = self.clip / self.levels
        if not np.all(self.step > 0):
            raise ParameterError("clip is too small: binary64 cannot distinguish its levels")
        self.ring_bits = ring_bits_for(self.levels + (rounding is Rounding.STOCHASTIC), parties)

    def encode(self, vector: ArrayLike, coins: Coins | None = None) -> tuple[Lanes, int]:
        """Return (lanes, clipped): (m,) ring elements and the number of values that were moved to the clip.

        Raises:
            ParameterError: shape different from the clip's, NaN or infinity, or missing coins.
        """
        rotation, rounding = coins or (None, None)
        numbers = vector_of(vector, len(self.clip) if self.clip.ndim else None)
        reals = _finite(rotated(numbers, self._segments(len(numbers)), rotation))
        values, clipped = _integers(reals, self, rounding, 0)
        return ring.embed(values, self.ring_bits), clipped

    def decode(self, lanes: Lanes, rotation: bytes | None = None) -> Reals:
        """Return the reals of (m,) ring elements, or of their sum; `rotation` is the public key of the coins."""
        reals: Reals = ring.centre(lanes, self.ring_bits) * self.step
        rotate_back(reals, self._segments(len(reals)), rotation)
        return reals

    def _segments(self, count: int) -> list[Segment]:
        if not self.rotation:
            return []
        return [Segment(count=count, clip=float(self.clip), step=float(self.step), rotation=self.rotation)]


def as_reals(values: ArrayLike) -> Reals:
    """Return numbers as float64.

    Raises:
        ParameterError: they are not real numbers, or their shape is ragged.
    """
    return _numbers(values).astype(np.float64, copy=False)


def vector_of(values: ArrayLike, length: int | None) -> Numbers:
    """Return a vector of real numbers as stored; its slices are converted to float64 later.

    Raises:
        ParameterError: they are not real numbers, not one-dimensional, or not `length` in number.
    """
    array = _numbers(values)
    if array.ndim != 1 or (length is not None and len(array) != length):
        raise ParameterError(f"expected a vector of {length or 'm'} entries, got shape {array.shape}")
    return array


def _numbers(values: ArrayLike) -> Numbers:
    try:
        array = np.asarray(values)
    except ValueError:
        raise ParameterError("the rows of an array must have the same length") from None
    if array.dtype.kind not in "biuf":  # complex numbers would lose a part; strings and objects have no value
        raise ParameterError(f"expected an array of real numbers, got {array.dtype}")
    return array


def _finite(numbers: Numbers) -> Reals:
    reals = numbers.astype(np.float64, copy=False)
    if not np.isfinite(reals).all():
        raise ParameterError("the vector contains NaN or infinity, which cannot be summed")
    return reals


class _Form(Protocol):
    """The rule by which values become integers: a segment of a schema, or a quantizer."""

    @property
    def clip(self) -> float | Reals: ...
    @property
    def step(self) -> float | Reals: ...
    @property
    def levels(self) -> int: ...
    @property
    def rounding(self) -> Rounding: ...


def _integers(reals: Reals, form: _Form, key: bytes | None, start: int) -> tuple[NDArray[np.int64], int]:
    """Return the integers of entries from `start` on, and the number of them that were moved to the clip."""
    if form.rounding is Rounding.STOCHASTIC:
        return _at_random(reals, form, key, start)
    values = np.empty(len(reals), np.int64)
    moved = kernels.levels.to_levels(
        np.ascontiguousarray(reals), np.atleast_1d(np.float64(form.step)), form.levels, values
    )
    return values, moved


def _at_random(reals: Reals, form: _Form, key: bytes | None, start: int) -> tuple[NDArray[np.int64], int]:
    if key is None:
        raise ParameterError("random rounding needs a secret key")
    words = np.zeros(len(reals), np.uint64)
    add_keystream(words, key, start=start)
    within = np.clip(reals, -form.clip, form.clip)
    scaled = within / form.step
    below = np.floor(scaled)
    up = (words >> np.uint64(11)) * 2.0**-53 < scaled - below
    return below.astype(np.int64) + up, int(np.count_nonzero(within != reals))
