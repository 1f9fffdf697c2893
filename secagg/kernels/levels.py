"""Fixed-point conversion in one pass: divide by the step, round, clamp to the clip.

Spec: 02-protocol §4. The compiler turns the branches into selections.
"""

import numpy as np
from numba import float64, int64
from numpy.typing import NDArray

from secagg.kernels._jit import kernel, readonly


@kernel(int64(readonly(float64), readonly(float64), int64, int64[::1]))
def to_levels(reals: NDArray[np.float64], steps: NDArray[np.float64], levels: int, out: NDArray[np.int64]) -> int:
    """Write round(x / step), ties to even, clamped to [-levels, levels]; return how many were clamped.

    Shape: reals and out (k,), steps (k,) or (1,). A huge value over a tiny step is infinite, and clamped like any
        other.
    """
    most = np.float64(levels)  # may be rounded, up or down
    stride = 1 if steps.shape[0] > 1 else 0
    moved = 0
    for i in range(reals.shape[0]):
        scaled = np.rint(reals[i] / steps[i * stride])
        level = min(max(int(min(max(scaled, -most), most)), -levels), levels)
        if abs(scaled) > most:
            level = levels if scaled > 0 else -levels
            moved += 1
        out[i] = level
    return moved
