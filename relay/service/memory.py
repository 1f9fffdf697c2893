"""Keeping what a process holds in memory from the disk and from its neighbours, as far as a process can.

Python copies bytes as it likes and overwrites none of them, so that keys cannot be wiped from it. What is left to do is
to let nobody look: no core dump is written, and no other process of the same user may attach. Root still can, and so
can whoever takes the memory of the machine; swap is for the service manager to forbid (`MemorySwapMax=0`).
"""

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def keep_private() -> None:
    """Let no core be dumped and no process of the same user look into this one."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = ctypes.CDLL(None)
    if hasattr(library, "prctl"):  # Linux
        library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
