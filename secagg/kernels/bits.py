"""Lanes of b bits in a little-endian bit stream: lane i occupies bits [i b, (i + 1) b).

Spec: 01-wire §5. Both directions move whole 64-bit words where possible.
"""

from typing import Any

import numpy as np
from numba import int64, uint8, uint32, uint64, void
from numpy.typing import NDArray

from secagg.kernels._jit import kernel, readonly

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@kernel(void(readonly(uint32), int64, uint64[::1]), void(readonly(uint64), int64, uint64[::1]))
def pack(lanes: NDArray[np.unsignedinteger[Any]], bits: int, out: NDArray[np.uint64]) -> None:
    """Write the low `bits` bits of each lane; `out` has ceil(len(lanes) * bits / 64) words, spare bits are zero."""
    mask = _ALL >> np.uint64(64 - bits)
    word = np.uint64(0)
    count = 0  # bits of the word already used
    at = 0
    for i in range(lanes.shape[0]):
        lane = np.uint64(lanes[i]) & mask
        word |= lane << np.uint64(count)
        count += bits
        if count >= 64:
            out[at] = word
            at += 1
            count -= 64
            word = (lane >> np.uint64(1)) >> np.uint64(bits - count - 1)  # the rest of the lane, if any
    if count > 0:
        out[at] = word


@kernel(void(readonly(uint8), int64, uint32[::1]), void(readonly(uint8), int64, uint64[::1]))
def unpack(data: NDArray[np.uint8], bits: int, out: NDArray[np.unsignedinteger[Any]]) -> None:
    """Read len(out) lanes of `bits` bits."""
    mask = _ALL >> np.uint64(64 - bits)
    last = np.uint64(data.shape[0])
    for i in range(out.shape[0]):
        start = np.uint64(i) * np.uint64(bits)  # unsigned, to avoid a sign check at every index
        at = start >> np.uint64(3)
        shift = start & np.uint64(7)
        value = np.uint64(0)
        beyond = np.uint64(0)
        if at + np.uint64(9) <= last:
            value = (  # compiled to a single load
                np.uint64(data[at])
                | np.uint64(data[at + np.uint64(1)]) << np.uint64(8)
                | np.uint64(data[at + np.uint64(2)]) << np.uint64(16)
                | np.uint64(data[at + np.uint64(3)]) << np.uint64(24)
                | np.uint64(data[at + np.uint64(4)]) << np.uint64(32)
                | np.uint64(data[at + np.uint64(5)]) << np.uint64(40)
                | np.uint64(data[at + np.uint64(6)]) << np.uint64(48)
                | np.uint64(data[at + np.uint64(7)]) << np.uint64(56)
            )
            beyond = np.uint64(data[at + np.uint64(8)])
        else:
            for k in range(min(np.uint64(8), last - at)):
                value |= np.uint64(data[at + np.uint64(k)]) << np.uint64(8 * k)
        # A shift by 64 is undefined, hence two steps: the next word contributes nothing if shift is 0.
        out[i] = (value >> shift | (beyond << np.uint64(1)) << (np.uint64(63) - shift)) & mask
