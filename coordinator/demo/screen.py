"""The demonstration's display: each hospital's progress through the rounds."""

import time
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from coordinator.demo.stage import Hospital

_SENT = {
    "Join": "joined the epoch",
    "Prekeys": "sent its keys",
    "Encapsulations": "agreed on pair secrets",
    "Shares": "dealt its shares",
    "Receipt": "checked all shares",
    "Upload": "sent its masked vector",
    "Consistency": "signed the survivors",
    "Unmask": "answered with shares",
}


class Screen:
    """A table of the sites on a terminal; elsewhere, a line for each event."""

    def __init__(self, console: Console, hospitals: list[Hospital]) -> None:
        self._console = console
        self._hospitals = hospitals
        self._where = {hospital.name: "" for hospital in hospitals}
        self._rounds: list[str] = []
        self._headline = "starting"
        self._began = time.monotonic()
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8, transient=True)

    def showing(self) -> AbstractContextManager[Any]:
        """Show the table while the block runs, if output goes to a terminal."""
        return self._live if self._console.is_terminal else self._console.status("")

    def say(self, text: str) -> None:
        """Show the current activity."""
        self._headline = text
        if not self._console.is_terminal:
            self._print(text)

    def put(self, site: str, where: str) -> None:
        """Set a site's last action."""
        self._where[site] = where

    def take(self, event: dict[str, Any]) -> None:
        """Show an event of the coordinator's run."""
        what, place = event["what"], f"round {event['round']}" if event["round"] else "setup"
        if what == "heard":
            self._where[event["site"]] = f"{place}: {_SENT.get(event['step'], event['step'])}"
        elif what == "lost":
            self._where[event["site"]] = f"{place}: silent"
            self._print(f"{place}: {event['site']} {event['detail']}")
        elif what in {"round-opened", "epoch-ready"}:
            self._headline = f"{place}: {event['detail']}"
            if what == "epoch-ready":
                self._print(f"{place}: {event['detail']}")
        elif what in {"round-done", "round-abandoned", "refused"}:
            self._print(f"{place}: {event['site']} {event['detail']}".replace(":  ", ": "))

    def _print(self, text: str) -> None:
        (self._live.console if self._console.is_terminal else self._console).print(
            f"[dim]{time.monotonic() - self._began:6.1f} s[/dim]  {text}", highlight=False
        )

    def _table(self) -> Table:
        table = Table(title=self._headline, title_justify="left", box=None)
        table.add_column("hospital")
        table.add_column("last seen")
        for hospital in self._hospitals:
            if hospital.is_killed:
                table.add_row(f"[red]{hospital.name}[/red]", "[red]killed (SIGKILL)[/red]")
            else:
                table.add_row(hospital.name, self._where[hospital.name])
        return table
