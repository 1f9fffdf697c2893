"""How each site stands in a run: taking part, waiting for its officer, declined, refused, or lost, and why.

The process that executes a run writes this, so that `status` can show it beside it. It is for people: nothing that the
protocol does depends on it, and a standby begins it anew.
"""

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID

How = Literal["taking-part", "waiting", "undecided", "declined", "refused", "lost"]

SAID: dict[How, str] = {
    "taking-part": "goes on",
    "waiting": "must wait: ",
    "undecided": "could not go on in time: ",
    "declined": "declined: ",
    "refused": "refused: ",
    "lost": "",
}
"""What precedes the reason of a standing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStanding:
    """A site's standing in a run.

    Attributes:
        site: name of the site.
        how: its standing; `undecided` once a decision came too late.
        round: number of the round concerned, 0 during setup.
        reason: reason that the site gave, or what it did not send.
        until: time until which the run waits for the site, seconds since 1970, or None.
        since: time at which this was noted, seconds since 1970.
    """

    site: str
    how: How = "taking-part"
    round: int = 0
    reason: str = ""
    until: float | None = None
    since: float

    def facts(self) -> dict[str, Any]:
        """Return the standing as plain values."""
        return asdict(self)


class SiteStandings:
    """The standings of one run's sites in the journal."""

    def __init__(self, connection: sqlite3.Connection, run: UUID) -> None:
        self._connection = connection
        self._run = str(run)

    def begin(self, sites: Iterable[str]) -> None:
        """Enter sites that take part, unless the journal knows how they stand."""
        rows = [(self._run, site, "taking-part", 0, "", None, time.time()) for site in sites]
        self._connection.executemany("INSERT OR IGNORE INTO standing VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def note(self, site: str, how: How, *, round_: int = 0, reason: str = "", until: float | None = None) -> bool:
        """Enter how a site stands now; returns whether that is new."""
        row = self._connection.execute(
            "SELECT how, round, reason FROM standing WHERE run = ? AND site = ?", (self._run, site)
        ).fetchone()
        if row == (how, round_, reason) or (row is not None and row[0] == how == "taking-part"):
            return False
        self._connection.execute(
            "INSERT OR REPLACE INTO standing VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self._run, site, how, round_, reason, until, time.time()),
        )
        return True

    def settle(self, sites: Iterable[str]) -> None:
        """Enter that these sites take part, since a sum holds their vectors."""
        for site in sites:
            self.note(site, "taking-part")

    def end(self) -> None:
        """Enter that the run is over: whoever still waited could not go on in time."""
        self._connection.execute(
            "UPDATE standing SET how = 'undecided', until = NULL WHERE run = ? AND how = 'waiting'", (self._run,)
        )

    def all(self) -> list[SiteStanding]:
        """Return the standing of every site, by name."""
        rows = self._connection.execute(
            "SELECT site, how, round, reason, until, since FROM standing WHERE run = ? ORDER BY site", (self._run,)
        )
        return [
            SiteStanding(site=site, how=how, round=round_, reason=reason, until=until, since=since)
            for site, how, round_, reason, until, since in rows
        ]


def in_words(standings: Iterable[SiteStanding]) -> str:
    """Return who did not contribute and why, for an error: those that gave the same reason together."""
    said: dict[tuple[How, str], list[SiteStanding]] = {}
    for one in standings:
        if one.how != "taking-part":
            said.setdefault((one.how, one.reason), []).append(one)
    return "; ".join(
        f"{', '.join(one.site for one in alike)} {SAID[how]}{reason}" for (how, reason), alike in said.items()
    )
