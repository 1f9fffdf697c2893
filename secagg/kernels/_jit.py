"""The only module that compiles functions.

Signatures are explicit, so that a kernel is compiled when its module is first imported, is cached, and is never
specialised unexpectedly; the interpreter lock is released, so that threads can work on slices. Division follows C,
since no kernel divides by zero. Fast-math stays off: the kernels are integer arithmetic and must be exact. Constant
time is not claimed, but no kernel reads memory at a secret address or branches on a secret.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def readonly(element: numba.types.Type, dimensions: int = 1) -> numba.types.Array:
    """Return the type of a contiguous array that the kernel only reads, such as a view of bytes."""
    return numba.types.Array(element, dimensions, "C", readonly=True)


def kernel(*signatures: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function for the given Numba signatures; `NUMBA_DISABLE_JIT=1` runs it as plain Python."""
    return cast(
        "Callable[[Callable[P, R]], Callable[P, R]]",
        numba.njit(list(signatures), nogil=True, cache=True, error_model="numpy"),
    )
