"""How long does a fresh process take to import the package, to mask for the first time, or to show a program's help?"""

import os
import resource
import subprocess
import sys
from statistics import median
from tempfile import TemporaryDirectory

from bench.measure import Row, in_turn, in_words, waited_for
from bench.workers.pipe import ROOT

_IMPORT = "from time import perf_counter as now; start = now(); import secagg; print(now() - start)"
_MASK = (
    "import numpy as np; from secagg.masks import add_keystream; add_keystream(np.zeros(1000, np.uint32), bytes(32))"
)

_PROGRAMS = {
    "secagg-relay": "relay.server.commands",
    "secagg-participant": "participant.commands",
    "secagg-coordinator": "coordinator.commands",
}
_HELP = "import sys; sys.argv[1:] = ['--help']; from {module}.cli import main; main()"
_ALL = "from importlib import import_module; from pkgutil import iter_modules; import {module} as package; "
_EVERY = _ALL + "[import_module('{module}.' + found.name) for found in iter_modules(package.__path__)]; " + _HELP
"""Imports all commands of a program, as if before it knew which one is called."""


def rows() -> list[Row]:
    return [_import(), *_first_calls(), *(_help(program, module) for program, module in _PROGRAMS.items())]


def _import(repetitions: int = 9) -> Row:
    """Time the import of the bare package, by the new interpreter's clock; modules load the rest on first use."""
    taken = median(float(_python(_IMPORT)) for _ in range(repetitions))
    return Row("import secagg", "< 100 ms", in_words(taken), taken < 0.1, {"seconds": taken})


def _first_calls() -> list[Row]:
    """Time whole processes, including interpreter and imports, right after an installation and later."""
    with TemporaryDirectory() as cache:
        cold = waited_for(lambda: _python(_MASK, NUMBA_CACHE_DIR=cache))
        warm = median(waited_for(lambda: _python(_MASK, NUMBA_CACHE_DIR=cache)) for _ in range(5))
    return [
        Row("first add_keystream without a compile cache", "< 3 s", in_words(cold), cold < 3, {"seconds": cold}),
        Row("first add_keystream of a process, compile cache warm", "", in_words(warm), None, {"seconds": warm}),
    ]


def _help(program: str, module: str, repetitions: int = 5) -> Row:
    """Time a program's help against importing all of the program's commands, in turn."""
    candidates = {"help": _HELP, "every": _EVERY}
    seconds = in_turn(
        {name: lambda text=text: _busy(text.format(module=module)) for name, text in candidates.items()},
        repetitions=repetitions,
    )
    share = seconds["help"] / seconds["every"]
    words = f"{in_words(seconds['help'])}, {share:.2f} x"
    return Row(f"{program} --help", "<= 0.25 x with every command imported", words, share <= 0.25, seconds)


def _busy(statement: str) -> float:
    """Return the CPU seconds of a statement in a fresh interpreter, including its start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    _python(statement)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


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
