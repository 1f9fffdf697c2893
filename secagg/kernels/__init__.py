"""Compiled inner loops: arrays in, arrays out; no exceptions, no mutable globals, no randomness.

`_jit.py` has the only decorator, `target.py` detects this processor's features. Import the folder, not its modules:
`from secagg import kernels` costs nothing, and the first use of `kernels.bits` or another loads Numba, which takes a
second and is rarely needed. Nothing here imports anything of secagg outside this folder.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secagg.kernels import aes, bits, gf16, levels, modular, target

__all__ = ["aes", "bits", "gf16", "levels", "modular", "target"]


def __getattr__(name: str) -> ModuleType:
    """Load a kernel module on first use (PEP 562)."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
