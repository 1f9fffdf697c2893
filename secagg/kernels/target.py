"""The instructions that Numba may use: the processor's features, limited by NUMBA_CPU_NAME and NUMBA_CPU_FEATURES.

LLVM aborts the process on an instruction that its target lacks, so this is checked before anything is compiled.
"""

from numba.core import config
from numba.core.registry import cpu_target


def _aes_vector_bits() -> int:
    triple, _, listed = cpu_target.target_context.codegen().magic_tuple()
    has = {feature[1:]: feature[0] == "+" for feature in listed.split(",") if feature}  # the last occurrence counts
    compiles = not config.DISABLE_JIT  # type: ignore[attr-defined] # set when Numba is loaded
    if not compiles or not triple.startswith(("x86_64", "aarch64", "arm64")) or not has.get("aes"):
        return 0
    if not (has.get("vaes") and has.get("avx2")):  # features of x86-64
        return 128
    return 512 if has.get("avx512f") else 256


AES_VECTOR_BITS = _aes_vector_bits()
"""The widest vectors on which one instruction computes a round of AES: 128, 256 or 512 bits; 0 for none."""


def threads() -> int:
    """Return the number of threads that NUMBA_NUM_THREADS allows; if unset, the number of this process's cores."""
    return int(config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined] # set when Numba is loaded
