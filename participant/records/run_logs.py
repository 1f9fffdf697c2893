"""What the daemon logged of each run, kept for its own people and for the coordinator, if they send it.

Lines are those of the log, redacted as it is: no values, no keys. A file a run, of at most `MOST_BYTES`, for some days.
"""

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from relay.service.folders import private_folder

FOLDER = "logs"
MOST_BYTES = 512 << 10
KEPT_DAYS = 30


class RunLogs(logging.Handler):
    """Writes each line that belongs to a run into that run's file. Its formatter has to give a JSON object a line."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self._folder = private_folder(data / FOLDER)

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line; a log that cannot be written stops no work."""
        try:
            line = self.format(record)
            run = UUID(json.loads(line)["run"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # it is of no run
        try:
            handle = os.open(self._folder / f"{run}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                if os.fstat(handle).st_size < MOST_BYTES:
                    os.write(handle, line.encode() + b"\n")
            finally:
                os.close(handle)
        except OSError:
            self.handleError(record)


def of_run(data: Path, run: UUID) -> bytes:
    """Return the lines of a run, b"" where there are none."""
    path = data / FOLDER / f"{run}.jsonl"
    return path.read_bytes() if path.is_file() else b""


def expire(data: Path, *, now: float) -> None:
    """Remove the logs of runs that nothing was logged of for a month; one that cannot be removed stops no work."""
    for path in (data / FOLDER).glob("*.jsonl"):
        with suppress(OSError):
            if now - path.stat().st_mtime > KEPT_DAYS * 86_400:
                path.unlink()
