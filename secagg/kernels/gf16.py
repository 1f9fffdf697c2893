"""Arithmetic in GF(2^16) = GF(2)[x] / (x^16 + x^12 + x^3 + x + 1), for Shamir shares.

Spec: 02-protocol §4. Branch-free on secret values: a product is 16 masked additions, without tables.
"""

import numpy as np
from numpy.typing import NDArray

from secagg.kernels._jit import kernel

U16Array = NDArray[np.uint16]

POLYNOMIAL = 0x1100B
_REDUCTION = np.uint16(POLYNOMIAL & 0xFFFF)


@kernel("void(uint16[:,::1], uint16[::1], uint16[:,::1])")
def evaluate(coefficients: U16Array, points: U16Array, out: U16Array) -> None:
    """Evaluate one polynomial per column at each point: out[i, j] = sum_k coefficients[k, j] * points[i]^k.

    Shape: coefficients (t, s), points (n,), out (n, s). Horner's rule from the highest coefficient down. The points are
    public, so their multiples by x^0 .. x^15 are tabulated per point; the coefficients are secret and only masked.
    """
    degree, width = coefficients.shape
    multiples = np.empty(16, np.uint16)
    for i in range(points.shape[0]):
        value = points[i]
        for bit in range(16):
            multiples[bit] = value
            carry = np.uint16(0) - (value >> np.uint16(15))
            value = np.uint16(value << np.uint16(1)) ^ (carry & _REDUCTION)
        for j in range(width):
            out[i, j] = coefficients[degree - 1, j]
        for k in range(degree - 2, -1, -1):
            for j in range(width):
                factor = out[i, j]
                product = coefficients[k, j]
                for bit in range(16):
                    product ^= (np.uint16(0) - ((factor >> np.uint16(bit)) & np.uint16(1))) & multiples[bit]
                out[i, j] = product


@kernel("void(uint16[::1], uint16[:,::1], uint16[::1])")
def weighted_sum(weights: U16Array, rows: U16Array, out: U16Array) -> None:
    """Compute out[j] = sum_i weights[i] * rows[i, j].

    Shape: weights (t,), rows (t, s), out (s,). The weights are Lagrange coefficients of public points.
    """
    multiples = np.empty(16, np.uint16)
    out[:] = np.uint16(0)
    for i in range(weights.shape[0]):
        value = weights[i]
        for bit in range(16):
            multiples[bit] = value
            carry = np.uint16(0) - (value >> np.uint16(15))
            value = np.uint16(value << np.uint16(1)) ^ (carry & _REDUCTION)
        for j in range(out.shape[0]):
            factor = rows[i, j]
            product = out[j]
            for bit in range(16):
                product ^= (np.uint16(0) - ((factor >> np.uint16(bit)) & np.uint16(1))) & multiples[bit]
            out[j] = product
