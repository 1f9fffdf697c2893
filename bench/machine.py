"""The machine on which a number was measured."""

import platform
import re
from pathlib import Path
from typing import Any

import numba
import numpy as np

_FEATURES = ("aes", "avx2", "avx512f", "vaes", "sha_ni", "asimd")


def describe() -> dict[str, Any]:
    """Return the processor's name and features, the cores, and the versions that matter."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    flags = set((re.search(r"(?:flags|Features)\s*: (.*)", text) or ["", ""])[1].split())
    return {
        "processor": name[1] if name else platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "features": [feature for feature in _FEATURES if feature in flags],
        "cores": numba.config.NUMBA_DEFAULT_NUM_THREADS,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
    }
