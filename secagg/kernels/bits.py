"""Lanes of b bits in a little-endian bit stream: lane i stands at bits [i b, (i + 1) b).

Spec: 01-wire §5. Both ways go through one 64-bit accumulator and write every output byte once.
"""

from typing import Any

import numpy as np
from numba import int64, uint8, uint32, uint64, void
from numpy.typing import NDArray

from secagg.kernels._jit import kernel, readonly


@kernel(void(readonly(uint32), int64, uint8[::1]), void(readonly(uint64), int64, uint8[::1]))
def pack(lanes: NDArray[np.unsignedinteger[Any]], bits: int, out: NDArray[np.uint8]) -> None:
    """Write the low `bits` bits of each lane; `out` has ceil(len(lanes) * bits / 8) bytes, spare bits are zero."""
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - bits)
    held = np.uint64(0)  # bits that wait for a whole byte: fewer than 8 between lanes
    count = 0
    at = 0
    for i in range(lanes.shape[0]):
        lane = np.uint64(lanes[i]) & mask
        held |= lane << np.uint64(count)
        spill = np.uint64(0)
        if count > 0:
            spill = lane >> np.uint64(64 - count)
        count += bits
        while count >= 8:
            out[at] = np.uint8(held & np.uint64(0xFF))
            at += 1
            held = (held >> np.uint64(8)) | (spill << np.uint64(56))
            spill >>= np.uint64(8)
            count -= 8
    if count > 0:
        out[at] = np.uint8(held & np.uint64(0xFF))


@kernel(void(readonly(uint8), int64, uint32[::1]), void(readonly(uint8), int64, uint64[::1]))
def unpack(data: NDArray[np.uint8], bits: int, out: NDArray[np.unsignedinteger[Any]]) -> None:
    """Read len(out) lanes of `bits` bits."""
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - bits)
    last = data.shape[0]
    for i in range(out.shape[0]):
        start = i * bits
        at = start >> 3
        shift = start & 7
        value = np.uint64(0)
        for k in range(min(8, last - at)):
            value |= np.uint64(data[at + k]) << np.uint64(8 * k)
        value >>= np.uint64(shift)
        if shift + bits > 64:
            value |= np.uint64(data[at + 8]) << np.uint64(64 - shift)
        out[i] = value & mask
