"""Progress of an import or export: a bar for people, JSON lines for programs, with only names, counts and seconds."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from participant.data.model.private import private_file
from secagg import __version__
from secagg.errors import SecaggError

STEPS = ("load", "names", "duplicates", "types", "validate", "map", "store", "verify", "report")
_EVERY_S = 0.5


class Show(Protocol):
    """Shows the progress of a step."""

    def __call__(self, step: str, done: int, of: int | None, rows: int) -> None:
        """Show the work done so far (bytes or rows), the total if known, and the number of rows processed."""


class Clock:
    """Seconds spent in each step; the turns of a step that alternates with others add up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start


@contextmanager
def logged(show: Show, path: Path | None) -> Iterator[Show]:
    """Write all progress, and the error if there is one, to a debug log as well: lines of JSON that hold no value."""
    if path is None:
        yield show
        return
    with private_file(path) as file:

        def write(**facts: object) -> None:
            file.write(json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **facts}) + "\n")
            file.flush()

        def both(step: str, done: int, of: int | None, rows: int) -> None:
            write(event="progress", step=step, done=done, of=of, rows=rows)
            show(step, done, of, rows)

        write(event="begin", release=__version__, python=sys.version.split()[0], system=sys.platform)
        try:
            yield both
        except SecaggError as error:
            write(event="refused", error=type(error).__name__, message=str(error))
            raise
        write(event="end")


def nowhere(step: str, done: int, of: int | None, rows: int) -> None:
    """Show nothing."""


def lines() -> Show:
    """Return a printer of JSON lines on stderr, at most two a second in a step."""
    last: dict[str, float] = {}

    def show(step: str, done: int, of: int | None, rows: int) -> None:
        now = time.monotonic()
        if done != of and now - last.get(step, 0.0) < _EVERY_S:
            return
        last[step] = now
        sys.stderr.write(json.dumps({"event": "progress", "step": step, "done": done, "of": of, "rows": rows}) + "\n")
        sys.stderr.flush()

    return show


@contextmanager
def shown(*, wanted: bool, as_json: bool) -> Iterator[Show]:
    """Show progress on stderr: bars on a terminal, otherwise or with `as_json` lines of JSON; nothing if not wanted."""
    if not wanted:
        yield nowhere
    elif as_json or not sys.stderr.isatty():
        yield lines()
    else:
        with on_terminal() as show:
            yield show


@contextmanager
def on_terminal() -> Iterator[Show]:
    """Show a bar for each step on stderr, if that is a terminal."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, of: int | None, rows: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=of, rows=0)
            bars.update(tasks[step], completed=done, total=of, rows=rows)

        yield show
