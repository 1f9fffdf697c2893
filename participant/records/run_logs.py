"""The daemon's log of each run, kept for the site's own staff and, if they send it, for the coordinator.

These are the log's own lines, redacted like it: no values, no keys. Each run has a file of at most `MOST_BYTES`, kept
for a limited number of days.
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
    """Writes each line that belongs to a run to that run's file. Its formatter must produce one JSON object a line."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self._folder = private_folder(data / FOLDER)

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line; a failure to write the log never stops work."""
        try:
            line = self.format(record)
            run = UUID(json.loads(line)["run"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # it belongs to no run
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
    """Return the log of a run, or b"" if there is none."""
    path = data / FOLDER / f"{run}.jsonl"
    return path.read_bytes() if path.is_file() else b""


def expire(data: Path, *, now: float) -> None:
    """Remove the logs of runs that have logged nothing for a month; failing to remove one never stops work."""
    for path in (data / FOLDER).glob("*.jsonl"):
        with suppress(OSError):
            if now - path.stat().st_mtime > KEPT_DAYS * 86_400:
                path.unlink()
