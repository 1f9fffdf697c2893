"""What happens in a run, told while it happens: one event, and two ways to show it."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console

What = Literal[
    "step",
    "heard",
    "refused",
    "lost",
    "epoch-ready",
    "round-opened",
    "cluster-failed",
    "round-done",
    "round-abandoned",
]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        what: its kind.
        step: the message that the coordinator waits for, such as ``Upload``.
        round: 0 during the setup.
        site: name of the site that it is about, if it is about one.
        detail: in words.
        sites: how many sites are waited for in this step, 0 for other events.
        seconds: since the run began.
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
    """Return a printer of the events that a person wants to follow."""

    def show(event: Event) -> None:
        place = f"round {event.round}" if event.round else "setup"
        if event.what in {"round-opened", "cluster-failed", "round-done", "epoch-ready", "round-abandoned"}:
            console.print(f"[dim]{event.seconds:7.2f} s[/dim]  {place}: {event.detail}")
        elif event.what in {"lost", "refused"}:
            console.print(f"[dim]{event.seconds:7.2f} s[/dim]  {place}: [red]{event.site}[/red] {event.detail}")

    return show


def nowhere(_event: Event) -> None:
    """Show nothing."""
