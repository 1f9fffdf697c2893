"""A site's answers, computed in a process of their own with bounded memory and time.

A statistic or trainer may meet rows on which it takes hours or requests more memory than there is, and a library that
is refused memory may end its process. So the daemon only asks, and another process computes. That process starts when
the first epoch is joined and stays, so no round waits for it to load; it has neither the site's key nor its
connections, and nothing that it returns is code. If it exceeds a limit or fails, the daemon declines the round, always
with the same text, as the reason may depend on a patient; the next answer gets a new process.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import traceback
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from participant.data.model.errors import DatasetError
from participant.data.store.store import DatasetStore
from participant.policy.answer import Answer, answer
from participant.policy.differencing import RowSet
from participant.policy.rules import RefusedError
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.language.layout import Array
from relay.service.logs import logger
from relay.service.memory import Limits, keep_private, limit_memory
from secagg.errors import ParameterError
from secagg.masks import add_keystream

log = logger(__name__)

FAILED = "this site could not compute its answer; its own log says why"


class Computation:
    """The process that computes answers, one at a time; at the end of a `with` block, it ends.

    Args:
        limits: limits on memory and time.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._computing = asyncio.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def warm(self) -> None:
        """Start the process, unless it runs."""
        if self._process is None or self._process.poll() is not None:
            self._end()
            command = [sys.executable, "-P", "-m", __spec__.name]  # -P: import no modules from the current folder
            settings = [str(self._limits.memory_mib), str(self._limits.minutes)]
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [*command, *settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )

    async def answer(
        self, bound: BoundQuery, datasets: Path, earlier: Sequence[RowSet], key: bytes, version: int | None
    ) -> Answer:
        """Compute an answer, as `participant.policy.answer.answer` does; if cancelled, the process ends.

        Args:
            bound: the query.
            datasets: folder of the site's datasets.
            earlier: row sets of earlier answers from this dataset.
            key: secret that determines the order in which persons are left out.
            version: version of the dataset; None for the newest.

        Raises:
            RefusedError: the dataset cannot answer, on public grounds; or, with a text that is always the same, the
                computation failed or exceeded a limit.
        """
        request = {
            "query": bound.encode().decode(),
            "datasets": str(datasets),
            "earlier": [_written(one) for one in earlier],
            "key": key.hex(),
            "version": version,
        }
        async with self._computing:
            said, vector = await self._asked(request, bound.query.statistic)
        if "refused" in said:
            raise RefusedError(said["refused"])
        if "failed" in said:
            log.error("computation-failed", statistic=bound.query.statistic, detail=said["failed"])
            raise RefusedError(FAILED)
        return Answer(
            query=bound.query,
            dataset_version=said["dataset_version"],
            vector=vector,
            rows=said["rows"],
            moved=said["moved"],
            to_remember=tuple(_row_set(one) for one in said["to_remember"]),
        )

    async def _asked(self, request: dict[str, Any], statistic: str) -> tuple[dict[str, Any], Array]:
        self.warm()
        assert self._process is not None
        try:
            return await asyncio.to_thread(_ask, self._process, request)
        except _Ended:
            log.error("computation-ended", statistic=statistic, detail=self._reason())
            raise RefusedError(FAILED) from None
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        """End the process, whatever it is computing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                _pipe(pipe).close()
            self._process = None

    def _reason(self) -> str:
        assert self._process is not None
        if self._process.wait() == -signal.SIGALRM:
            return f"it took longer than {self._limits.minutes:g} minutes, the limit that computation_minutes sets"
        return (
            f"it needed more than {self._limits.memory_mib:,} MiB of memory, the limit that computation_memory_mib "
            "sets, or broke a library"
        )


class _Ended(Exception):  # noqa: N818 - no error of its own
    """The process ended without an answer."""


def _ask(process: "subprocess.Popen[bytes]", request: dict[str, Any]) -> tuple[dict[str, Any], Array]:
    """Hand over a request, and return the outcome with its vector."""
    answers = _pipe(process.stdout)
    try:
        _send(_pipe(process.stdin), request)
        line = answers.readline()
    except (BrokenPipeError, ValueError):  # it ended, or was ended
        raise _Ended from None
    if not line:
        raise _Ended
    said: dict[str, Any] = json.loads(line)
    data = answers.read(8 * said.get("length", 0))
    return said, np.frombuffer(data, "<f8").astype(np.float64)


def _pipe(pipe: Any) -> BinaryIO:
    assert pipe is not None
    return pipe  # type: ignore[no-any-return]


def _send(pipe: BinaryIO, message: dict[str, Any], data: bytes = b"") -> None:
    pipe.write(json.dumps(message).encode() + b"\n" + data)
    pipe.flush()


def _written(one: RowSet) -> dict[str, Any]:
    return asdict(one) | {"packed": b64encode(one.packed).decode()}


def _row_set(said: dict[str, Any]) -> RowSet:
    return RowSet(**{**said, "packed": b64decode(said["packed"])})


# The process itself --------------------------------------------------------------------------------------------------


def _serve(requests: BinaryIO, out: BinaryIO, limits: Limits) -> None:
    """Answer requests until there are no more."""
    import polars  # noqa: F401, ICN001, PLC0415 - loaded before the first request, and before memory is limited

    add_keystream(np.zeros(1, np.uint32), bytes(32))  # loads the compiled kernel, which `answer` needs
    limit_memory(limits.memory_mib)
    for line in requests:
        signal.setitimer(signal.ITIMER_REAL, limits.minutes * 60)  # its signal ends the process, even in a library
        said, vector, is_sound = _outcome(json.loads(line))
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(out, said, vector)
        if not is_sound:
            return


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    made = answer(
        BoundQuery.decode(request["query"].encode()),
        DatasetStore(Path(request["datasets"])),
        [_row_set(one) for one in request["earlier"]],
        bytes.fromhex(request["key"]),
        request["version"],
    )
    said = {
        "dataset_version": made.dataset_version,
        "rows": made.rows,
        "moved": made.moved,
        "to_remember": [_written(one) for one in made.to_remember],
        "length": len(made.vector),
    }
    return said, made.vector.astype("<f8").tobytes()


def _outcome(request: dict[str, Any]) -> tuple[dict[str, Any], bytes, bool]:
    """Return an answer or the reason why there is none, and whether this process may compute another one."""
    try:
        return *_answer(request), True
    except (ParameterError, DatasetError) as error:
        return {"refused": str(error)}, b"", True
    except Exception:  # noqa: BLE001 - a statistic's or trainer's own
        return {"failed": traceback.format_exc()}, b"", True
    except BaseException:  # noqa: BLE001 - a library's panic is no Exception
        return {"failed": traceback.format_exc()}, b"", False


def _main() -> None:
    """Serve one daemon. Libraries' output goes to standard error; signals to the daemon's group are the daemon's."""
    keep_private()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    memory_mib, minutes = sys.argv[1:]
    _serve(sys.stdin.buffer, out, Limits(memory_mib=int(memory_mib), minutes=float(minutes)))


if __name__ == "__main__":
    _main()
