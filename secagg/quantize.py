"""Fixed point: reals to ring integers and back, with clip, step and head-room per entry.

Spec: 02-protocol §4. A value x becomes round(x / step), ties to even, within [-levels, levels]; a sum of n such
integers is below 2^(b-1) in absolute value because n * levels is, so the centred residue mod 2^b is the sum itself. The
sum of n decoded values differs from the sum of the clipped values by at most n * step / 2.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg import ring
from secagg.errors import ParameterError
from secagg.packing import Lanes
from secagg.params import Beyond, Schema, Segment, ring_bits_for

Numbers = NDArray[Any]
Reals = NDArray[np.float64]


class Quantized(NamedTuple):
    """Signed integers of a vector, and how many of its values were moved to the clip."""

    values: NDArray[np.int64]
    clipped: int


class BeyondClipError(ParameterError):
    """A value lies beyond the clip of a segment whose schema refuses such values."""


def quantize(vector: ArrayLike, schema: Schema) -> Quantized:
    """Return the integers of a vector under a round's schema.

    Args:
        vector: (m,) finite numbers, m the schema's length.

    Raises:
        ParameterError: length, NaN or infinity.
        BeyondClipError: a value beyond the clip of a segment with `Beyond.REFUSE`.
    """
    return quantize_slice(vector_of(vector, schema.length), schema, 0)


def quantize_slice(reals: Numbers, schema: Schema, start: int) -> Quantized:
    """Return the integers of the entries [start, start + k) of a vector, given as (k,); raises what `quantize` does."""
    reals = _finite(reals)
    values = np.empty(len(reals), np.int64)
    clipped, at = 0, -start  # where the segment begins, seen from the first of these entries
    for segment in schema.segments:
        part = slice(max(at, 0), max(at + segment.count, 0))
        at += segment.count
        values[part], count = _to_levels(reals[part], segment)
        if count and segment.beyond is Beyond.REFUSE:
            raise BeyondClipError(f"{count} values lie beyond the clip of their segment, which refuses them")
        clipped += count
    if len(reals) > at:
        raise ParameterError(f"the schema has no {len(reals)} entries from {start} on")
    return Quantized(values, clipped)


def dequantize(values: NDArray[np.int64], schema: Schema) -> Reals:
    """Return the reals of integers, or of sums of integers: each times its segment's step."""
    steps = np.repeat([segment.step for segment in schema.segments], [segment.count for segment in schema.segments])
    reals: Reals = values * steps
    return reals


class Quantizer:
    """Fixed point for vectors with one clip, or one clip per entry, and a given number of bits a value.

    Args:
        clip: positive; a scalar, or (m,) for entries of their own.
        value_bits: 2 to 62; a value takes one of 2^value_bits - 1 levels.
        parties: the largest number of vectors that are summed.

    Attributes:
        ring_bits: the bits b of a ring that holds the sum of `parties` vectors, whatever their values.

    Raises:
        ParameterError: values out of range.
        HeadroomError: 64 bits do not hold the sum.
    """

    def __init__(self, clip: ArrayLike, value_bits: int, parties: int) -> None:
        if not 2 <= value_bits <= 62 or parties < 1:
            raise ParameterError("value_bits is 2 to 62, and there is at least one party")
        self.clip = as_reals(clip)
        if self.clip.ndim > 1 or not np.all(np.isfinite(self.clip) & (self.clip > 0)):
            raise ParameterError("clip is positive and finite: a number, or one for each entry")
        self.levels = (1 << (value_bits - 1)) - 1
        self.step = self.clip / self.levels
        if not np.all(self.step > 0):
            raise ParameterError("clip is so small that its levels cannot be told apart in binary64")
        self.ring_bits = ring_bits_for(self.levels, parties)

    def encode(self, vector: ArrayLike) -> tuple[Lanes, int]:
        """Return (lanes, clipped): (m,) ring elements and the number of values that were moved to the clip.

        Raises:
            ParameterError: another shape than the clip's, NaN or infinity.
        """
        reals = _finite(vector_of(vector, len(self.clip) if self.clip.ndim else None))
        values, clipped = _round(reals, self.step, self.levels)
        return ring.embed(values, self.ring_bits), clipped

    def decode(self, lanes: Lanes) -> Reals:
        """Return the reals of (m,) ring elements, or of their sum."""
        reals: Reals = ring.centre(lanes, self.ring_bits) * self.step
        return reals


def as_reals(values: ArrayLike) -> Reals:
    """Return numbers as float64.

    Raises:
        ParameterError: they are no real numbers, or not of one shape.
    """
    return _numbers(values).astype(np.float64, copy=False)


def vector_of(values: ArrayLike, length: int | None) -> Numbers:
    """Return a vector of real numbers as it is stored, for slices of it to become float64.

    Raises:
        ParameterError: they are no real numbers, not one-dimensional, or not `length` many.
    """
    array = _numbers(values)
    if array.ndim != 1 or (length is not None and len(array) != length):
        raise ParameterError(f"a vector of {length or 'm'} entries is expected, got shape {array.shape}")
    return array


def _numbers(values: ArrayLike) -> Numbers:
    try:
        array = np.asarray(values)
    except ValueError:
        raise ParameterError("the rows of an array have one length") from None
    if array.dtype.kind not in "biuf":  # complex numbers would lose a part, texts and objects mean nothing here
        raise ParameterError(f"an array of real numbers is expected, got {array.dtype}")
    return array


def _finite(numbers: Numbers) -> Reals:
    reals = numbers.astype(np.float64, copy=False)
    if not np.isfinite(reals).all():
        raise ParameterError("the vector holds NaN or infinity; neither can be summed")
    return reals


def _to_levels(reals: Reals, segment: Segment) -> tuple[NDArray[np.int64], int]:
    return _round(reals, segment.step, segment.levels)


def _round(reals: Reals, step: float | Reals, levels: int) -> tuple[NDArray[np.int64], int]:
    from secagg.kernels.levels import to_levels  # noqa: PLC0415 Numba is loaded on first use

    values = np.empty(len(reals), np.int64)
    return values, to_levels(np.ascontiguousarray(reals), np.atleast_1d(np.float64(step)), levels, values)
