"""Reads and writes the coordinator's own tables: epochs, packages, the open round, and sums.

An interrupted run is repeated from its sums: an analysis asks the same queries in the same order, so sites are not
asked again for sums that are stored here.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from secagg.codec import Record
from secagg.protocol.step import Package

P = TypeVar("P", bound=Record)


@dataclass(frozen=True, slots=True)
class ReleasedSum:
    """A finished round: its sum, or None if only the sites opened it, and the number of bits of its ring."""

    round: int
    ring_bits: int
    survivors: tuple[str, ...]
    total: NDArray[np.float64] | None


class Packages(Mapping[int, P], Generic[P]):
    """A machine's packages of one kind, by site. Each is read on demand, because their total size grows with n^2."""

    def __init__(self, connection: sqlite3.Connection, machine: str, kind: type[P]) -> None:
        self._connection = connection
        self._machine = machine
        self._kind = kind

    def __getitem__(self, site: int) -> P:
        row = self._connection.execute(
            "SELECT data FROM package WHERE machine = ? AND kind = ? AND site = ?",
            (self._machine, self._kind.__name__, site),
        ).fetchone()
        if row is None:
            raise KeyError(site)
        return self._kind.decode(row[0])

    def __iter__(self) -> Iterator[int]:
        rows = self._connection.execute(
            "SELECT site FROM package WHERE machine = ? AND kind = ? ORDER BY site",
            (self._machine, self._kind.__name__),
        )
        return iter([site for (site,) in rows])

    def __len__(self) -> int:
        return len(list(iter(self)))


@dataclass(frozen=True, slots=True)
class PendingRound:
    """The open round: its query, the query's position in the run, and the seed of its later steps."""

    position: int
    query: bytes
    deadline: int
    seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AddedUpload:
    """A vector that was added to the total of the open round, and its location at the relay."""

    site: int
    frame: bytes = field(repr=False)
    payload: str


class RunTables:
    """The coordinator's own tables in its journal, for one run. Callers provide the journal's transaction."""

    def __init__(self, connection: sqlite3.Connection, run: UUID) -> None:
        self.connection = connection
        self._run = str(run)

    def keep(self, site: int, package: Package) -> None:
        """Store a site's package; storing it again changes nothing."""
        self.connection.execute(
            "INSERT OR REPLACE INTO package VALUES (?, ?, ?, ?)",
            (self._run, type(package).__name__, site, package.encode()),
        )

    def packages(self, kind: type[P]) -> Packages[P]:
        """Return a live view of the run's packages of one kind."""
        return Packages(self.connection, self._run, kind)

    def forget_packages(self) -> None:
        self.connection.execute("DELETE FROM package WHERE machine = ?", (self._run,))

    def begin_epoch(self, number: int, next_round: int) -> None:
        """Record an epoch before its manifest is sent; its number and rounds count as used from then on."""
        self.connection.execute("INSERT INTO epoch VALUES (?, ?, ?)", (self._run, number, next_round))

    def last_epoch(self) -> tuple[int, int]:
        """Return the number of the run's last epoch and the first round after it; (0, 1) if there is none."""
        row = self.connection.execute(
            "SELECT number, next FROM epoch WHERE run = ? ORDER BY number DESC LIMIT 1", (self._run,)
        ).fetchone()
        return (row[0], row[1]) if row else (0, 1)

    def open_round(self, pending: PendingRound) -> None:
        """Record that a round is open."""
        self.close_round()
        values = (self._run, pending.position, pending.query, pending.deadline, pending.seed)
        self.connection.execute("INSERT INTO turn VALUES (?, ?, ?, ?, ?)", values)

    def close_round(self) -> None:
        """Delete the open round and the list of its added uploads."""
        for statement in ("DELETE FROM turn WHERE run = ?", "DELETE FROM upload WHERE run = ?"):
            self.connection.execute(statement, (self._run,))

    def pending(self) -> PendingRound | None:
        """Return the open round, or None."""
        row = self.connection.execute(
            "SELECT position, query, deadline, seed FROM turn WHERE run = ?", (self._run,)
        ).fetchone()
        return None if row is None else PendingRound(*row)

    def added(self, upload: AddedUpload) -> None:
        """Record an upload that was added to the total."""
        values = (self._run, upload.site, upload.frame, upload.payload)
        self.connection.execute("INSERT INTO upload VALUES (?, ?, ?, ?)", values)

    def uploads(self) -> list[AddedUpload]:
        """Return the uploads that were added to the total of the open round."""
        rows = self.connection.execute("SELECT site, frame, payload FROM upload WHERE run = ?", (self._run,))
        return [AddedUpload(*row) for row in rows]

    def read_to(self, message: int) -> None:
        """Record that the run has processed its messages up to this ID."""
        self.connection.execute("UPDATE run SET position = ? WHERE run = ?", (message, self._run))

    def changed(self) -> None:
        """Record a change that a standby must know of before anything that follows from it is sent."""
        self.connection.execute("UPDATE run SET version = version + 1 WHERE run = ?", (self._run,))

    @property
    def burnt(self) -> int:
        """Number of the last epoch in which no further round may be opened, or 0."""
        row = self.connection.execute("SELECT burnt FROM run WHERE run = ?", (self._run,)).fetchone()
        return int(row[0]) if row else 0

    def enter(self, position: int, query: bytes, answer: ReleasedSum) -> None:
        """Store the answer to the run's query number `position`."""
        self.connection.execute(
            "INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self._run,
                position,
                query,
                answer.round,
                answer.ring_bits,
                json.dumps(answer.survivors),
                b"" if answer.total is None else answer.total.astype("<f8").tobytes(),
            ),
        )

    def answer(self, position: int, query: bytes) -> ReleasedSum | None:
        """Return the answer to the run's query number `position`, or None if there is none for these bytes."""
        row = self.connection.execute(
            "SELECT round, ring_bits, survivors, total FROM answer WHERE run = ? AND position = ? AND query = ?",
            (self._run, position, query),
        ).fetchone()
        return None if row is None else _answer(*row)

    def answers(self) -> list[tuple[bytes, ReleasedSum]]:
        """Return all queries of the run with their answers, in order."""
        rows = self.connection.execute(
            "SELECT query, round, ring_bits, survivors, total FROM answer WHERE run = ? ORDER BY position", (self._run,)
        )
        return [(query, _answer(*row)) for query, *row in rows]


def _answer(round_: int, ring_bits: int, survivors: str, total: bytes) -> ReleasedSum:
    found = np.frombuffer(total, "<f8").astype(np.float64) if total else None
    return ReleasedSum(round_, ring_bits, tuple(json.loads(survivors)), found)
