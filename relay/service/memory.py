"""Keeps process memory within a limit, and away from the disk and from other processes, as far as a process can.

Python copies bytes freely and never overwrites them, so keys cannot be wiped from memory. A process can only keep
others out: no core dump is written, and no other process of the same user may attach. Root still can, and so can anyone
with access to the machine's memory; disabling swap is up to the service manager (`MemorySwapMax=0`).
"""

import ctypes
import resource
from dataclasses import dataclass
from pathlib import Path

_PR_SET_DUMPABLE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on the resources of a process that works for another one.

    Attributes:
        memory_mib: address space beyond that of the process before it begins.
        minutes: duration from start to end.
    """

    memory_mib: int
    minutes: float


def keep_private() -> None:
    """Disable core dumps and deny access to this process's memory to other processes of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = ctypes.CDLL(None)
    if hasattr(library, "prctl"):  # Linux
        library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def limit_memory(memory_mib: int) -> None:
    """Limit this process's address space to what it uses now and this many MiB more, where the system can."""
    try:
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return  # not Linux; other systems do not enforce this limit
    limit = used + (memory_mib << 20)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
