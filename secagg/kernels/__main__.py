"""`python -m secagg.kernels`: compiles every kernel into Numba's cache, so that no program waits for it later."""

import sys

import numpy as np

from secagg.kernels import bits, gf16, levels, modular  # noqa: F401 compiled when imported
from secagg.kernels.target import AES_VECTOR_BITS

if AES_VECTOR_BITS:
    from secagg.kernels.aes import accumulate

    for lanes in (np.uint32, np.uint64):
        accumulate(np.dtype(lanes))
path = f"AES on vectors of {AES_VECTOR_BITS} bits" if AES_VECTOR_BITS else "AES by OpenSSL"
sys.stdout.write(f"kernels are compiled; masks by {path}\n")
