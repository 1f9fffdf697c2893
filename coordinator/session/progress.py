"""Progress of a run: the event, and the ways to show it."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from relay.service.logs import logger

_log = logger(__name__)

What = Literal[
    "step",
    "heard",
    "refused",
    "lost",
    "waiting",
    "goes-on",
    "declined",
    "epoch-ready",
    "round-opened",
    "cluster-failed",
    "round-done",
    "round-abandoned",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run.

    Attributes:
        what: kind of the event.
        step: message that the coordinator waits for, such as ``Upload``.
        round: number of the round, 0 during setup.
        site: name of the site concerned, or empty.
        detail: description for people.
        sites: number of sites that this step waits for, 0 for other events.
        seconds: time since the run began.
    """

    what: What
    step: str = ""
    round: int = 0
    site: str = ""
    detail: str = ""
    sites: int = 0
    seconds: float = 0.0


Show = Callable[[Event], None]


def as_json(event: Event) -> None:
    """Print an event as one JSON line on stderr."""
    sys.stderr.write(json.dumps({"event": "progress", **asdict(event)}) + "\n")
    sys.stderr.flush()


def in_words(console: Console) -> Show:
    """Return a function that prints the events a person wants to follow."""

    def show(event: Event) -> None:
        place = f"round {event.round}" if event.round else "setup"
        site, detail = escape(event.site), escape(event.detail)  # text from others, not markup
        if event.what in {"round-opened", "cluster-failed", "round-done", "epoch-ready", "round-abandoned"}:
            console.print(f"[dim]{event.seconds:7.2f} s[/dim]  {place}: {detail}")
        elif event.what in {"lost", "refused", "declined"}:
            console.print(f"[dim]{event.seconds:7.2f} s[/dim]  {place}: [red]{site}[/red] {detail}")
        elif event.what in {"waiting", "goes-on"}:
            console.print(f"[dim]{event.seconds:7.2f} s[/dim]  {place}: [yellow]{site}[/yellow] {detail}")

    return show


@contextmanager
def bars(console: Console) -> Iterator[Show]:
    """Show a bar of the sites that have answered in the current step, below the lines of `in_words`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None, visible=False)
        say = in_words(progress.console)

        def show(event: Event) -> None:
            say(event)
            if event.what == "step":
                place = f"round {event.round}" if event.round else "setup"
                progress.reset(bar, total=event.sites, description=f"{place}: {event.step}", visible=True)
            elif event.what == "heard":
                progress.advance(bar)

        yield show


@contextmanager
def on_screen(*, visible: bool) -> Iterator[Show]:
    """Show bars in a terminal or notebook, lines elsewhere, or nothing if not `visible`."""
    console = Console(stderr=True)
    if not visible:
        yield nowhere
    elif console.is_terminal or (console.is_jupyter and find_spec("ipywidgets")):
        with bars(console) as show:
            yield show
    else:
        yield in_words(console)


def in_log(event: Event) -> None:
    """Log an event that a person would want to follow, or any event at level `debug`."""
    told = _log.debug if event.what in {"step", "heard"} else _log.info
    told(event.what, step=event.step, round=event.round, site=event.site, detail=event.detail)


def nowhere(_event: Event) -> None:
    """Show nothing."""
