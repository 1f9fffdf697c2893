"""Keeps process memory away from the disk and from other processes, as far as a process can.

Python copies bytes freely and never overwrites them, so keys cannot be wiped from memory. A process can only keep
others out: no core dump is written, and no other process of the same user may attach. Root still can, and so can anyone
with access to the machine's memory; disabling swap is up to the service manager (`MemorySwapMax=0`).
"""

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def keep_private() -> None:
    """Disable core dumps and deny access to this process's memory to other processes of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = ctypes.CDLL(None)
    if hasattr(library, "prctl"):  # Linux
        library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
