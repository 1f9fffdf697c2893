"""Fed-BioMed's side: its low-overhead masking (LOM), loaded from its wheel as a single module."""

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from bench.workers.pipe import serve
from bench.workers.work import CLIP, VALUE_BITS, pair_seed, vector

LEVELS = (1 << VALUE_BITS) - 1


def _lom() -> Any:
    """Load only `_lom.py`: its package's `__init__` imports modules whose libraries are not installed here."""
    package = Path(find_spec("fedbiomed.common").origin).parent
    spec = spec_from_file_location("lom_of_fedbiomed", package / "secagg" / "_lom.py")
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LOM(nonce=bytes(16))


LOM = _lom()


def integers(site: int, d: int) -> list[int]:
    return np.rint((vector(site, d) + CLIP) * (LEVELS / (2 * CLIP))).astype(np.int64).tolist()


def protect(site: int, n: int, values: list[int]) -> tuple[float, list[int]]:
    """Return the seconds that a site's masking took, and its result."""
    secrets = {_name(other): pair_seed(site, other) for other in range(n) if other != site}
    start = process_time()
    protected = LOM.protect(_name(site), secrets, 1, values, [_name(other) for other in range(n)])
    return process_time() - start, protected


def client(n: int, d: int) -> float:
    return protect(0, n, integers(0, d))[0]


def addition(n: int, d: int) -> float:
    """Return the seconds to add n uploads."""
    uploads = [integers(0, d)] * n
    start = process_time()
    LOM.aggregate(uploads)
    return process_time() - start


def total(n: int, d: int) -> list[float]:
    """Return the sum of all vectors; the mechanism cannot lose one."""
    sums = LOM.aggregate([protect(site, n, integers(site, d))[1] for site in range(n)])
    return (np.array(sums) * (2 * CLIP / LEVELS) - n * CLIP).tolist()


def _name(site: int) -> str:
    return f"node-{site:05}"


if __name__ == "__main__":
    serve({"client": client, "addition": addition, "total": total})
