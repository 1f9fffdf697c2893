"""The ledger, in the daemon's own database: everything that ever left this site, and the rosters that it confirmed.

A release is entered in the transaction that makes the upload durable, before its first byte leaves, whether or not the
coordinator can open it later. A hash chain over the entries reveals any removal or change.

`TABLES` declares the tables of all modules of this package and of `participant.policy.differencing`, which share one
journal, by numbered migrations: published ones never change, a change is a new one.
"""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from relay.party.migrations import Migrations, columns
from relay.service.designation import designated
from secagg.amendment import FIRST_VERSION, AmendedRoster
from secagg.audit import GENESIS, link, verify_chain
from secagg.identity import KEY_BYTES, Roster

_PROJECT, _QUERY, _DATASET, _AT, _RUN, _ROUND, _TASK, _VERSION, _STANDING = (
    f"json_extract(CAST(entry AS TEXT), '$.{path}')"
    for path in ("project", "query", "query.dataset", "at", "run", "round", "task", "dataset_version", "standing")
)


def _add_survivors(connection: sqlite3.Connection) -> None:
    """Add the keys of the last set of survivors that the site confirmed in a run.

    Journals from before migrations were numbered have the column or not.
    """
    if "survivors" not in columns(connection, "epoch"):
        connection.execute("ALTER TABLE epoch ADD COLUMN survivors BLOB NOT NULL DEFAULT x''")


TABLES: Migrations = {
    1: """CREATE TABLE IF NOT EXISTS release (
        number INTEGER PRIMARY KEY,   -- counts from 1 without gaps
        entry  BLOB NOT NULL,         -- JSON: what left, when, for which project, run and round
        head   BLOB NOT NULL          -- head of the hash chain after this entry
    ) STRICT""",
    2: """CREATE TABLE IF NOT EXISTS confirmed (
        project TEXT PRIMARY KEY,     -- UUID
        roster  BLOB NOT NULL,        -- the encoded roster whose words the officer compared
        terms   BLOB NOT NULL         -- the bytes of the terms that the roster names
    ) STRICT""",
    3: """CREATE TABLE IF NOT EXISTS epoch (
        run       TEXT PRIMARY KEY,   -- UUID
        project   TEXT NOT NULL,
        last      INTEGER NOT NULL    -- number of the last epoch that this site joined: never one up to it again
    ) STRICT""",
    4: """CREATE TABLE IF NOT EXISTS result (
        run       TEXT NOT NULL,      -- UUID
        round     INTEGER NOT NULL,
        survivors TEXT NOT NULL,      -- JSON: indices of the sites in the sum
        total     BLOB NOT NULL,      -- the sum, little-endian float64
        PRIMARY KEY (run, round)
    ) STRICT""",
    5: _add_survivors,
    6: """CREATE TABLE IF NOT EXISTS restored (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        made REAL NOT NULL            -- time of the backup that this journal was restored from; mail from
                                      -- before the restore must still be voided
    ) STRICT""",
    7: """CREATE TABLE IF NOT EXISTS milestone (
        name TEXT PRIMARY KEY,        -- backup
        at   REAL NOT NULL            -- time it was last reached, seconds since 1970
    ) STRICT""",
    8: """CREATE TABLE IF NOT EXISTS receipt (
        run   TEXT PRIMARY KEY,       -- UUID
        data  BLOB NOT NULL,          -- as the coordinator sent it
        fault TEXT NOT NULL,          -- why this site refuses it; empty if it is valid
        at    REAL NOT NULL           -- time of arrival, seconds since 1970
    ) STRICT""",
    # final state of the run as the relay showed it, if known
    9: "ALTER TABLE epoch ADD COLUMN ended TEXT NOT NULL DEFAULT ''",
    10: f"CREATE INDEX release_of ON release ({_PROJECT}, {_DATASET}, {_AT})",
    11: """CREATE TABLE waiting (
        run      TEXT PRIMARY KEY,    -- UUID
        project  TEXT NOT NULL,       -- UUID
        round    INTEGER NOT NULL,
        subject  BLOB NOT NULL,       -- hash of what a decision is about
        deadline INTEGER NOT NULL,    -- seconds since 1970
        facts    TEXT NOT NULL        -- JSON: rules and reason of the wait, and the query or the sites
    ) STRICT""",
    12: """CREATE TABLE decision (
        run      TEXT NOT NULL,       -- UUID
        subject  BLOB NOT NULL,       -- as in waiting; empty for all queries of the run
        approved INTEGER NOT NULL,
        PRIMARY KEY (run, subject)
    ) STRICT""",
    13: "CREATE TABLE paused (only INTEGER PRIMARY KEY CHECK (only = 1)) STRICT",  # one row while the site is paused
    14: """CREATE TABLE answered (
        dataset  TEXT NOT NULL,
        version  INTEGER NOT NULL,    -- of the dataset
        origin   TEXT NOT NULL,       -- name of the rows of an answer, as in the entries of uploads
        rows     BLOB NOT NULL,       -- one bit for each row of this version, compressed with zlib
        gone     INTEGER NOT NULL,    -- persons of that answer who are not in this version
        PRIMARY KEY (dataset, version, origin)
    ) STRICT""",
    15: """CREATE TABLE signed_set (
        dataset  TEXT NOT NULL,
        keys     BLOB NOT NULL,       -- keys of survivors that this site confirmed, ascending
        run      TEXT NOT NULL,       -- UUID of the first run with this set
        retired  INTEGER NOT NULL,    -- 1 once a smaller set of the same run has replaced it
        PRIMARY KEY (dataset, keys)
    ) STRICT""",
    16: """CREATE TABLE own_key (
        only     INTEGER PRIMARY KEY CHECK (only = 1),
        key      BLOB NOT NULL        -- determines which rows answers leave out; never leaves this site
    ) STRICT""",
    # root of the payload that brought the sum; empty for sums kept by an older version
    17: "ALTER TABLE result ADD COLUMN root BLOB NOT NULL DEFAULT x''",
    18: """CREATE TABLE standing_approval (
        number  INTEGER PRIMARY KEY AUTOINCREMENT,
        dataset TEXT NOT NULL,
        site    BLOB NOT NULL,        -- key of the site that may be missing; empty for any one
        times   INTEGER NOT NULL,     -- number of runs in any period of `days`
        days    INTEGER NOT NULL,
        granted REAL NOT NULL,        -- seconds since 1970
        revoked REAL                  -- NULL while it is in force
    ) STRICT""",
    # 1 if every signature of this set was given under a standing approval: it then permits no other run
    19: "ALTER TABLE signed_set ADD COLUMN provisional INTEGER NOT NULL DEFAULT 0",
    20: """CREATE TABLE amended (
        project TEXT NOT NULL,        -- UUID
        version INTEGER NOT NULL,     -- from 2
        roster  BLOB NOT NULL,        -- the encoded roster of this version
        terms   BLOB NOT NULL,        -- the bytes of its terms
        agreed  INTEGER NOT NULL,     -- 1 if the officer agreed, 0 if not
        PRIMARY KEY (project, version)
    ) STRICT""",
}

NEVER_AGAIN = (1 << 32) - 1
"""The largest epoch number: a run that has reached it is over for this site."""


@dataclass(frozen=True, slots=True)
class ConfirmedProject:
    """A version of a project as this site's officer confirmed it: the first one by words, later ones as amendments."""

    roster: Roster
    terms: bytes
    version: int = FIRST_VERSION


class Ledger:
    """The participant's own tables in its journal. Make changes inside a transaction of the journal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def enter(self, entry: dict[str, Any]) -> None:
        """Append an entry in plain JSON: a description of what left, never the values themselves."""
        row = self._connection.execute("SELECT number, head FROM release ORDER BY number DESC LIMIT 1").fetchone()
        number, head = row or (0, GENESIS)
        data = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
        self._connection.execute("INSERT INTO release VALUES (?, ?, ?)", (number + 1, data, link(head, data)))

    @property
    def head(self) -> str:
        """Head of the chain after the last entry, in hex. A copy kept elsewhere reveals missing entries."""
        row = self._connection.execute("SELECT head FROM release ORDER BY number DESC LIMIT 1").fetchone()
        return bytes(row[0] if row else GENESIS).hex()

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries in order.

        Raises:
            BrokenChainError: an entry was changed, removed or moved.
        """
        return [json.loads(entry) for entry, _ in self.chain()]

    def chain(self) -> list[tuple[bytes, bytes]]:
        """Return the stored entries, each with the head after it; raises the same error as `entries`."""
        rows = self._connection.execute("SELECT entry, head FROM release ORDER BY number").fetchall()
        verify_chain(rows)
        return rows

    def releases(self, project: UUID, dataset: str, since: float) -> int:
        """Return how many answers from a dataset left for a project since a time, in seconds since 1970."""
        row = self._connection.execute(
            f"SELECT count(*) FROM release WHERE {_PROJECT} = ? AND {_DATASET} = ? AND {_AT} >= ?",  # noqa: S608 - ours
            (str(project), dataset, since),
        ).fetchone()
        return int(row[0])

    def tasks(self, project: UUID) -> list[tuple[tuple[str, int], frozenset[str]]]:
        """Return, for each answer that followed a plan, its run, its task's number there, and which tasks it can be."""
        rows = self._connection.execute(
            f"SELECT {_RUN}, {_TASK} FROM release WHERE {_PROJECT} = ? AND {_TASK} IS NOT NULL ORDER BY number",  # noqa: S608 - ours
            (str(project),),
        ).fetchall()
        found = ((run, json.loads(task)) for run, task in rows)
        return [((run, task["number"]), frozenset(task["names"])) for run, task in found]

    def runs_under(self, approval: int, since: float) -> list[UUID]:
        """Return the runs that signed survivors under a standing approval since a time, in seconds since 1970."""
        rows = self._connection.execute(
            f"SELECT DISTINCT {_RUN} FROM release WHERE {_STANDING} = ? AND {_AT} >= ?",  # noqa: S608 - ours
            (approval, since),
        )
        return [UUID(row[0]) for row in rows]

    def first_version(self, project: UUID) -> int | None:
        """Return the version of the dataset that the project's first answer used; None before it."""
        row = self._connection.execute(
            f"SELECT {_VERSION} FROM release WHERE {_PROJECT} = ? AND {_VERSION} IS NOT NULL ORDER BY number LIMIT 1",  # noqa: S608 - ours
            (str(project),),
        ).fetchone()
        return None if row is None else int(row[0])

    def sums_after(
        self, project: UUID, run: UUID, last: int
    ) -> list[tuple[int, dict[str, Any], dict[str, Any], bytes]]:
        """Return a run's sums after round `last`: round, entries of upload and survivors, total."""
        totals = self._connection.execute(
            "SELECT round, total FROM result WHERE run = ? AND round > ? ORDER BY round", (str(run), last)
        ).fetchall()
        if not totals:
            return []
        rows = self._connection.execute(
            f"SELECT entry FROM release WHERE {_PROJECT} = ? AND {_RUN} = ? AND {_ROUND} > ?",  # noqa: S608 - ours
            (str(project), str(run), last),
        ).fetchall()
        entries = {(one["what"], one["round"]): one for one in (json.loads(row[0]) for row in rows)}
        return [(at, entries["upload", at], entries["survivors", at], total) for at, total in totals]

    def query(self, run: UUID, round_: int) -> dict[str, Any]:
        """Return the query that this site answered in a round, as the ledger's entry has it."""
        row = self._connection.execute(
            f"SELECT entry FROM release WHERE {_QUERY} IS NOT NULL AND {_RUN} = ? AND {_ROUND} = ?",  # noqa: S608 - ours
            (str(run), round_),
        ).fetchone()
        found: dict[str, Any] = json.loads(row[0])["query"]
        return found

    def keep_result(self, run: UUID, round_: int, survivors: tuple[int, ...], total: bytes, root: bytes) -> None:
        """Keep a sum that this site verified: published by the coordinator, or opened by the sites."""
        self._connection.execute(
            "INSERT OR REPLACE INTO result (run, round, survivors, total, root) VALUES (?, ?, ?, ?, ?)",
            (str(run), round_, json.dumps(survivors), total, root),
        )

    def roots(self, run: UUID) -> dict[int, bytes]:
        """Return the roots of a run's sums that this site holds, by round; empty if an older version kept the sum."""
        rows = self._connection.execute("SELECT round, root FROM result WHERE run = ?", (str(run),))
        return dict(rows.fetchall())

    def results(self) -> list[tuple[UUID, int, bytes]]:
        """Return run, round and sum (little-endian float64) of every result kept by `keep_result`."""
        rows = self._connection.execute("SELECT run, round, total FROM result ORDER BY rowid").fetchall()
        return [(UUID(run), round_, total) for run, round_, total in rows]

    def confirm(self, project: UUID, roster: Roster, terms: bytes) -> None:
        """Record that the officer compared the words of this roster; amendments of another one are void."""
        known = self._connection.execute("SELECT roster FROM confirmed WHERE project = ?", (str(project),)).fetchone()
        if known is not None and known[0] != roster.encode():
            self._connection.execute("DELETE FROM amended WHERE project = ?", (str(project),))
        self._connection.execute(
            "INSERT INTO confirmed VALUES (?1, ?2, ?3) ON CONFLICT (project) DO UPDATE SET roster = ?2, terms = ?3",
            (str(project), roster.encode(), terms),
        )

    def confirmed(self, project: UUID) -> ConfirmedProject | None:
        """Return the newest version of a project that the officer agreed to, or None."""
        return next(reversed(self.versions(project)), None)

    def versions(self, project: UUID) -> list[ConfirmedProject]:
        """Return the versions of a project that the officer agreed to, oldest first."""
        rows = self._connection.execute(
            "SELECT roster, terms, ?2 FROM confirmed WHERE project = ?1 UNION ALL "
            "SELECT roster, terms, version FROM amended WHERE project = ?1 AND agreed ORDER BY 3",
            (str(project), FIRST_VERSION),
        )
        return [ConfirmedProject(Roster.decode(roster), terms, version) for roster, terms, version in rows]

    def version_of(self, project: UUID, roster: bytes) -> ConfirmedProject | None:
        """Return the version that the officer agreed to whose roster has this digest, or None."""
        return next((one for one in self.versions(project) if one.roster.digest() == roster), None)

    def decided(self, project: UUID) -> dict[int, bool]:
        """Return what the officer decided about amendments, by version."""
        rows = self._connection.execute("SELECT version, agreed FROM amended WHERE project = ?", (str(project),))
        return {version: bool(agreed) for version, agreed in rows}

    def amend(self, project: UUID, amended: AmendedRoster, *, agreed: bool) -> None:
        """Record what the officer decided about a version; a later decision replaces an earlier one."""
        self._connection.execute(
            "INSERT OR REPLACE INTO amended VALUES (?, ?, ?, ?, ?)",
            (str(project), amended.version, amended.roster.encode(), amended.terms, agreed),
        )

    def projects(self) -> list[UUID]:
        """Return the projects that an officer of this site confirmed."""
        return [UUID(row[0]) for row in self._connection.execute("SELECT project FROM confirmed ORDER BY project")]

    def forget(self, project: UUID) -> None:
        """Withdraw a confirmation: the site signs no further manifest of the project, in any version."""
        self._connection.execute("DELETE FROM amended WHERE project = ?", (str(project),))
        self._connection.execute("DELETE FROM confirmed WHERE project = ?", (str(project),))

    def last_epoch(self, run: UUID) -> int:
        """Return the number of the last epoch of a run that this site joined; 0 if none."""
        row = self._connection.execute("SELECT last FROM epoch WHERE run = ?", (str(run),)).fetchone()
        return int(row[0]) if row else 0

    def project_of(self, run: UUID) -> UUID | None:
        """Return the project of a run that this site takes part in, or None."""
        row = self._connection.execute("SELECT project FROM epoch WHERE run = ?", (str(run),)).fetchone()
        return UUID(row[0]) if row else None

    def join_epoch(self, run: UUID, project: UUID, number: int) -> None:
        """Record an epoch that this site joined."""
        self._connection.execute(
            "INSERT INTO epoch (run, project, last) VALUES (?1, ?2, ?3) ON CONFLICT (run) DO UPDATE SET last = ?3",
            (str(run), str(project), number),
        )

    def void(self, run: UUID, project: UUID) -> None:
        """End a run for this site, which joins none of its epochs again."""
        self.join_epoch(run, project, NEVER_AGAIN)

    def runs(self) -> list[tuple[UUID, UUID]]:
        """Return every run on record, each with its project."""
        rows = self._connection.execute("SELECT run, project FROM epoch ORDER BY run").fetchall()
        return [(UUID(run), UUID(project)) for run, project in rows]

    def begin_again(self, chain: list[tuple[bytes, bytes]], runs: list[tuple[UUID, UUID]], made: float) -> None:
        """Fill an empty journal from a backup; every run in it counts as over.

        Raises:
            BrokenChainError: the backup's entries are not an intact chain.
        """
        verify_chain(chain)
        rows = [(number, entry, head) for number, (entry, head) in enumerate(chain, 1)]
        self._connection.executemany("INSERT INTO release VALUES (?, ?, ?)", rows)
        for run, project in runs:
            self.void(run, project)
        self._connection.execute("INSERT INTO restored VALUES (1, ?)", (made,))

    def note_backup(self, at: float) -> None:
        """Record when the identity was backed up."""
        self._connection.execute("INSERT OR REPLACE INTO milestone VALUES ('backup', ?)", (at,))

    def backed_up(self) -> float | None:
        """Return when the identity was last backed up, seconds since 1970, or None."""
        row = self._connection.execute("SELECT at FROM milestone WHERE name = 'backup'").fetchone()
        return float(row[0]) if row else None

    def is_restored(self) -> bool:
        """Return whether mail from before a restore must still be voided."""
        return self._connection.execute("SELECT 1 FROM restored").fetchone() is not None

    def settle_restore(self) -> None:
        """Record that all mail from before the restore has been voided."""
        self._connection.execute("DELETE FROM restored")

    def survivors(self, run: UUID) -> tuple[bytes, ...]:
        """Return the keys of the last set of survivors that this site confirmed in a run, in any epoch; () if none."""
        row = self._connection.execute("SELECT survivors FROM epoch WHERE run = ?", (str(run),)).fetchone()
        keys = row[0] if row else b""
        return tuple(keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES))

    def keep_survivors(self, run: UUID, keys: Iterable[bytes]) -> None:
        """Record a set of survivors that this site confirmed."""
        self._connection.execute("UPDATE epoch SET survivors = ? WHERE run = ?", (b"".join(keys), str(run)))

    def find_run(self, given: str) -> UUID:
        """Return the ID of a run that this site joined, given whole or by its beginning; raises ParameterError."""
        return designated(given, {run: "" for run, _, _ in self.joined()}, "run", see="secagg-participant runs")

    def joined(self) -> list[tuple[UUID, UUID, str]]:
        """Return run, project and final state ("" if unknown) of each run that this site joined, oldest first."""
        rows = self._connection.execute("SELECT run, project, ended FROM epoch ORDER BY rowid").fetchall()
        return [(UUID(run), UUID(project), ended) for run, project, ended in rows]

    def end_run(self, run: UUID, state: str) -> None:
        """Record the final state of a run."""
        self._connection.execute("UPDATE epoch SET ended = ? WHERE run = ?", (state, str(run)))
