"""The two ends of a worker: `serve` answers jobs in the candidate's process, `Worker` requests them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
ONE_CORE = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def serve(jobs: Mapping[str, Callable[..., Any]]) -> None:
    """Answer each JSON line with another until the pipe closes. The candidate's own output goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr
    if hasattr(os, "sched_setaffinity"):  # all threads of a candidate share one core
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(jobs[request["job"]](**request["arguments"])), file=answers, flush=True)


class WorkerError(RuntimeError):
    """The candidate's process ended; its output is on stderr."""


class Worker:
    """A candidate's process; call it inside a `with` block."""

    def __init__(self, module: str, python: Path | str = sys.executable, **environment: str) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [python, "-m", f"bench.workers.{module}"],
            cwd=ROOT,
            env={**os.environ, **ONE_CORE, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, job: str, **arguments: Any) -> Any:
        """Return a job's result.

        Raises:
            WorkerError: the process ended without a result.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"job": job, "arguments": arguments}), file=self._process.stdin, flush=True)
        if not (answer := self._process.stdout.readline()):
            raise WorkerError(f"{self._module} did not answer {job}")
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
