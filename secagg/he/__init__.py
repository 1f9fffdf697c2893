"""Homomorphic mode: the coordinator adds ciphertexts of masked vectors, and only the sites open the sum.

Spec: 02-protocol §11. Modules without TenSEAL (`parameters`, `slots`, `ciphertext`) are separate from `bfv` and `seal`,
which need it, so that a coordinator that only adds never loads it: `from secagg import he` loads nothing, and the first
use of `he.bfv` loads TenSEAL. Depends on secagg's arithmetic, never on the protocol. Start with `parameters.py`.
"""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secagg.he import bfv

__all__ = ["bfv", "is_installed"]


def is_installed() -> bool:
    """Return whether the extra `he` is installed, without loading it; encrypting and opening need it."""
    return all(find_spec(name) is not None for name in ("tenseal", "zstandard"))


def __getattr__(name: str) -> ModuleType:
    """Load the module that needs TenSEAL on its first use (PEP 562)."""
    if name == "bfv":
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
