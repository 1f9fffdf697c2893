"""The coordinator's own tables beside its machine: the packages it keeps for the sites, and the sums it has.

A run that was cut off is run again from its sums: an analysis asks the same queries in the same order, so those that
are answered here are not asked again.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from secagg.codec import Record
from secagg.protocol.step import Package

TABLES = (
    """CREATE TABLE IF NOT EXISTS package (
        machine TEXT NOT NULL,
        kind    TEXT NOT NULL,         -- EncapsulationPackage, SharePackage or HeldLeaves
        site    INTEGER NOT NULL,      -- index of the site that it is for, or that sent it
        data    BLOB NOT NULL,
        PRIMARY KEY (machine, kind, site)
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS epoch (
        run     TEXT NOT NULL,         -- UUID
        number  INTEGER NOT NULL,      -- counts the epochs of the run from 1
        next    INTEGER NOT NULL,      -- number of the first round that the next epoch may use
        PRIMARY KEY (run, number)
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS answer (
        run       TEXT NOT NULL,       -- UUID
        position  INTEGER NOT NULL,    -- counts the run's queries from 0
        query     BLOB NOT NULL,       -- canonical bytes
        round     INTEGER NOT NULL,
        ring_bits INTEGER NOT NULL,    -- bits of an element of the masked vectors
        survivors TEXT NOT NULL,       -- JSON: names of the sites in the sum
        total     BLOB NOT NULL,       -- the sum, little-endian float64; empty where the sites keep it to themselves
        PRIMARY KEY (run, position)
    ) STRICT""",
)

P = TypeVar("P", bound=Record)


@dataclass(frozen=True, slots=True)
class Answer:
    """A round that was finished: the sum, or None where its sites alone opened it, and the bits of its ring."""

    round: int
    ring_bits: int
    survivors: tuple[str, ...]
    total: NDArray[np.float64] | None


class Packages(Mapping[int, P], Generic[P]):
    """A machine's packages of one kind by site. Each is read when it is asked for: together they grow with n^2."""

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


class RunTables:
    """The coordinator's own tables in its journal, for one run. Changes belong into a transaction of the journal."""

    def __init__(self, connection: sqlite3.Connection, run: UUID) -> None:
        self._connection = connection
        self._run = str(run)

    def keep(self, machine: str, site: int, package: Package) -> None:
        """Store a site's package; a repetition is the same one."""
        self._connection.execute(
            "INSERT OR REPLACE INTO package VALUES (?, ?, ?, ?)",
            (machine, type(package).__name__, site, package.encode()),
        )

    def packages(self, machine: str, kind: type[P]) -> Packages[P]:
        """Return a machine's packages of one kind, as they are at any time."""
        return Packages(self._connection, machine, kind)

    def forget_packages(self, machine: str) -> None:
        self._connection.execute("DELETE FROM package WHERE machine = ?", (machine,))

    def begin_epoch(self, number: int, next_round: int) -> None:
        """Note an epoch before its manifest is sent; its number and rounds are used from then on."""
        self._connection.execute("INSERT INTO epoch VALUES (?, ?, ?)", (self._run, number, next_round))

    def last_epoch(self) -> tuple[int, int]:
        """Return the number of the run's last epoch and the first round that was not its own; (0, 1) for none."""
        row = self._connection.execute(
            "SELECT number, next FROM epoch WHERE run = ? ORDER BY number DESC LIMIT 1", (self._run,)
        ).fetchone()
        return (row[0], row[1]) if row else (0, 1)

    def enter(self, position: int, query: bytes, answer: Answer) -> None:
        """Store the answer to the run's query number `position`."""
        self._connection.execute(
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

    def answer(self, position: int, query: bytes) -> Answer | None:
        """Return the answer to the run's query number `position`, if it was asked with these bytes."""
        row = self._connection.execute(
            "SELECT round, ring_bits, survivors, total FROM answer WHERE run = ? AND position = ? AND query = ?",
            (self._run, position, query),
        ).fetchone()
        return None if row is None else _answer(*row)

    def answers(self) -> list[tuple[bytes, Answer]]:
        """Return all queries of the run with their answers, in order."""
        rows = self._connection.execute(
            "SELECT query, round, ring_bits, survivors, total FROM answer WHERE run = ? ORDER BY position", (self._run,)
        )
        return [(query, _answer(*row)) for query, *row in rows]


def _answer(round_: int, ring_bits: int, survivors: str, total: bytes) -> Answer:
    found = np.frombuffer(total, "<f8").astype(np.float64) if total else None
    return Answer(round_, ring_bits, tuple(json.loads(survivors)), found)
