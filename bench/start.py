"""How long does a fresh process take: to import the package, and to mask for the first time?"""

import os
import subprocess
import sys
from statistics import median
from tempfile import TemporaryDirectory

from bench.measure import Row, in_words, waited_for
from bench.workers.pipe import ROOT

_IMPORT = "from time import perf_counter as now; start = now(); import secagg; print(now() - start)"
_MASK = (
    "import numpy as np; from secagg.masks import add_keystream; add_keystream(np.zeros(1000, np.uint32), bytes(32))"
)


def rows() -> list[Row]:
    return [_import(), *_first_calls()]


def _import(repetitions: int = 9) -> Row:
    """The package alone, by the new interpreter's own clock; its modules load what they need on use."""
    taken = median(float(_python(_IMPORT)) for _ in range(repetitions))
    return Row("import secagg", "< 100 ms", in_words(taken), taken < 0.1, {"seconds": taken})


def _first_calls() -> list[Row]:
    """Whole processes, interpreter and imports included: what a user waits for after an installation, and later."""
    with TemporaryDirectory() as cache:
        cold = waited_for(lambda: _python(_MASK, NUMBA_CACHE_DIR=cache))
        warm = median(waited_for(lambda: _python(_MASK, NUMBA_CACHE_DIR=cache)) for _ in range(5))
    return [
        Row("first add_keystream without a compile cache", "< 3 s", in_words(cold), cold < 3, {"seconds": cold}),
        Row("first add_keystream of a process, compile cache warm", "", in_words(warm), None, {"seconds": warm}),
    ]


def _python(statement: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", statement],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout
