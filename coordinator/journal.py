"""The coordinator's own tables beside its machine: its runs, the packages it keeps for the sites, and the sums it has.

A run that was cut off is run again from its sums: an analysis asks the same queries in the same order, so those that
are answered here are not asked again.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
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
    """CREATE TABLE IF NOT EXISTS run (
        run        TEXT PRIMARY KEY,   -- UUID
        project    TEXT NOT NULL,      -- UUID
        name       TEXT NOT NULL,      -- of the project
        terms      BLOB NOT NULL,      -- of the project, canonical bytes
        tasks      TEXT NOT NULL,      -- JSON: the specifications in order, as `parse_spec` reads them
        value_bits INTEGER NOT NULL,   -- bits of a value that leave room for all sites; part of what is asked
        began      REAL NOT NULL,      -- seconds since 1970
        ended      REAL,               -- NULL while it is open
        outcome    TEXT NOT NULL       -- open, completed or failed
            DEFAULT 'open',
        detail     TEXT NOT NULL       -- why it failed
            DEFAULT ''
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS receipt (
        run    TEXT NOT NULL,          -- UUID
        number INTEGER NOT NULL,       -- counts the entries of the run's receipt from 1
        kind   INTEGER NOT NULL,       -- of the entry, see `secagg.receipts.KINDS`
        body   BLOB NOT NULL,
        head   BLOB NOT NULL,          -- of the hash chain after this entry
        PRIMARY KEY (run, number)
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


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What this coordinator knows of a run besides its answers.

    Attributes:
        run, project: their IDs.
        name: of the project.
        terms: of the project, canonical bytes.
        tasks: the specifications in order, as plain JSON values.
        value_bits: bits of a value that leave room for all sites that were there at its begin.
        began, ended: seconds since 1970; `ended` is None while it is open.
        outcome: open, completed or failed.
        detail: why it failed.
    """

    run: UUID
    project: UUID
    name: str
    terms: bytes
    tasks: tuple[dict[str, Any], ...]
    value_bits: int
    began: float
    ended: float | None = None
    outcome: str = "open"
    detail: str = ""


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
        self.connection = connection
        self._run = str(run)

    def begin(self, record: RunRecord) -> RunRecord:
        """Store what a run is before anything is asked, and return what is stored: the first record of a run stays."""
        self.connection.execute(
            "INSERT OR IGNORE INTO run (run, project, name, terms, tasks, value_bits, began) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                str(record.run),
                str(record.project),
                record.name,
                record.terms,
                json.dumps(record.tasks),
                record.value_bits,
                record.began,
            ),
        )
        return next(one for one in run_records(self.connection) if one.run == record.run)

    def end(self, outcome: str, at: float, detail: str = "") -> None:
        """Note how the run ended; a run that is gone on with is open no more once it ends again."""
        self.connection.execute(
            "UPDATE run SET outcome = ?, ended = ?, detail = ? WHERE run = ?", (outcome, at, detail, self._run)
        )

    def keep(self, machine: str, site: int, package: Package) -> None:
        """Store a site's package; a repetition is the same one."""
        self.connection.execute(
            "INSERT OR REPLACE INTO package VALUES (?, ?, ?, ?)",
            (machine, type(package).__name__, site, package.encode()),
        )

    def packages(self, machine: str, kind: type[P]) -> Packages[P]:
        """Return a machine's packages of one kind, as they are at any time."""
        return Packages(self.connection, machine, kind)

    def forget_packages(self, machine: str) -> None:
        self.connection.execute("DELETE FROM package WHERE machine = ?", (machine,))

    def begin_epoch(self, number: int, next_round: int) -> None:
        """Note an epoch before its manifest is sent; its number and rounds are used from then on."""
        self.connection.execute("INSERT INTO epoch VALUES (?, ?, ?)", (self._run, number, next_round))

    def last_epoch(self) -> tuple[int, int]:
        """Return the number of the run's last epoch and the first round that was not its own; (0, 1) for none."""
        row = self.connection.execute(
            "SELECT number, next FROM epoch WHERE run = ? ORDER BY number DESC LIMIT 1", (self._run,)
        ).fetchone()
        return (row[0], row[1]) if row else (0, 1)

    def enter(self, position: int, query: bytes, answer: Answer) -> None:
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

    def answer(self, position: int, query: bytes) -> Answer | None:
        """Return the answer to the run's query number `position`, if it was asked with these bytes."""
        row = self.connection.execute(
            "SELECT round, ring_bits, survivors, total FROM answer WHERE run = ? AND position = ? AND query = ?",
            (self._run, position, query),
        ).fetchone()
        return None if row is None else _answer(*row)

    def answers(self) -> list[tuple[bytes, Answer]]:
        """Return all queries of the run with their answers, in order."""
        rows = self.connection.execute(
            "SELECT query, round, ring_bits, survivors, total FROM answer WHERE run = ? ORDER BY position", (self._run,)
        )
        return [(query, _answer(*row)) for query, *row in rows]


def run_records(connection: sqlite3.Connection) -> list[RunRecord]:
    """Return all runs of a journal, the newest first."""
    rows = connection.execute(
        "SELECT run, project, name, terms, tasks, value_bits, began, ended, outcome, detail FROM run "
        "ORDER BY began DESC"
    )
    return [
        RunRecord(UUID(run), UUID(project), name, terms, tuple(json.loads(tasks)), *rest)
        for run, project, name, terms, tasks, *rest in rows
    ]


def _answer(round_: int, ring_bits: int, survivors: str, total: bytes) -> Answer:
    found = np.frombuffer(total, "<f8").astype(np.float64) if total else None
    return Answer(round_, ring_bits, tuple(json.loads(survivors)), found)
