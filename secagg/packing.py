"""Packing of ring elements to exactly b bits each.

Spec: 01-wire §5. A vector of m elements takes ceil(m b / 8) bytes; the spare bits of the last byte must be zero, so
that a vector has only one encoding.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg import kernels
from secagg.errors import ParameterError

Lanes = NDArray[np.unsignedinteger[Any]]


def lane_dtype(bits: int) -> type[np.uint32] | type[np.uint64]:
    """Return the unsigned type that holds one element: uint32 up to 32 bits, else uint64."""
    if not 1 <= bits <= 64:
        raise ParameterError(f"an element must have 1 to 64 bits, got {bits}")
    return np.uint32 if bits <= 32 else np.uint64


def packed_bytes(count: int, bits: int) -> int:
    """Return the number of bytes that `count` elements of `bits` bits take."""
    return (count * bits + 7) // 8


def pack(lanes: Lanes, bits: int) -> bytes:
    """Return the low `bits` bits of each lane as one little-endian bit stream.

    Shape: lanes (m,), uint32 for bits <= 32, else uint64, C-contiguous.

    Raises:
        ParameterError: wrong dtype or shape.
    """
    dtype = lane_dtype(bits)
    if lanes.dtype != dtype or lanes.ndim != 1:
        raise ParameterError(f"packing {bits}-bit elements needs a 1-D array of {np.dtype(dtype)}")
    if bits == 8 * lanes.itemsize:
        return lanes.astype(np.dtype(dtype).newbyteorder("<"), copy=False).tobytes()
    size = packed_bytes(len(lanes), bits)
    words = np.empty((size + 7) // 8, np.uint64)
    kernels.bits.pack(np.ascontiguousarray(lanes), bits, words)
    return words.astype("<u8", copy=False).view(np.uint8)[:size].tobytes()


def unpack(data: bytes, bits: int, count: int) -> Lanes:
    """Return the `count` elements that `pack` encoded, as uint32 for bits <= 32, else uint64.

    Raises:
        ParameterError: the length is wrong, or spare bits are set.
    """
    dtype = lane_dtype(bits)
    if len(data) != packed_bytes(count, bits):
        raise ParameterError(f"{count} elements of {bits} bits take {packed_bytes(count, bits)} bytes, got {len(data)}")
    if (spare := -count * bits % 8) and data[-1] >> (8 - spare):
        raise ParameterError("spare bits after the last element are set")
    if bits == 8 * np.dtype(dtype).itemsize:
        return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype)
    out = np.empty(count, dtype)
    kernels.bits.unpack(np.frombuffer(data, np.uint8), bits, out)
    return out
