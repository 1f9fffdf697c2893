"""The ring of integers mod 2^b in unsigned lanes: 32 bits wide up to b = 32, 64 bits wide above.

Spec: 02-protocol §4. Lanes are added modulo their own width and reduced to b bits when packed or read: 2^b divides 2^32
and 2^64, so the order does not matter.
"""

import numpy as np
from numpy.typing import NDArray

from secagg.packing import Lanes, lane_dtype


def embed(values: NDArray[np.int64], bits: int) -> Lanes:
    """Return signed integers as fresh ring lanes; the caller ensures |value| < 2^(bits - 1)."""
    return values.astype(lane_dtype(bits))


def centre(lanes: Lanes, bits: int) -> NDArray[np.int64]:
    """Return each element's representative in [-2^(bits-1), 2^(bits-1)) as int64.

    Shape: lanes (m,), of `lane_dtype(bits)`; bits above `bits` are ignored.
    """
    unused = 64 - bits
    return (lanes.astype(np.uint64) << np.uint64(unused)).view(np.int64) >> np.int64(unused)


def zeros(length: int, bits: int) -> Lanes:
    """Return an accumulator of `length` zero elements."""
    return np.zeros(length, lane_dtype(bits))
