"""Counters of processes that end before anyone scrapes them, left in the journal for the process that stands."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from relay.party.journal import Journal


@dataclass(frozen=True, slots=True)
class Figure:
    """What a counter has counted under one set of labels."""

    counter: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


def leave(journal: Journal, figures: Iterable[Figure]) -> None:
    """Add figures to those that wait in the journal."""
    rows = [(json.dumps([figure.counter, figure.labels], sort_keys=True), figure.value) for figure in figures]
    if rows:
        with journal.transaction() as batch:
            batch.connection.executemany(
                "INSERT INTO figure VALUES (?, ?) ON CONFLICT (series) DO UPDATE SET value = value + excluded.value",
                rows,
            )


def take(journal: Journal) -> list[Figure]:
    """Return the figures that wait, and remove them: each is counted by one process."""
    if not journal.connection.execute("SELECT 1 FROM figure LIMIT 1").fetchone():
        return []
    with journal.transaction() as batch:
        found = list(_stored(batch.connection))
        batch.connection.execute("DELETE FROM figure")
    return found


def _stored(connection: sqlite3.Connection) -> Iterator[Figure]:
    for series, value in connection.execute("SELECT series, value FROM figure ORDER BY series"):
        counter, labels = json.loads(series)
        yield Figure(counter, value, labels)
