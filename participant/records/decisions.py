"""Records what waits for this site's officer, what the officer decided, and whether the site is paused.

Daemon and commands share these records through the journal: the daemon writes what waits and reads the decisions, the
commands do the opposite. A decision covers what the officer was shown, in one run: a set of sites, or a question by its
statistic, dataset, columns, rows and floor. The same question with other parameters, as in later rounds of an iterative
analysis, is covered by the same decision; a question that differs in anything else waits for its own. A decision may
also be about the whole run (`WHOLE_RUN`). The tables, `waiting`, `decision` and `paused`, are declared in `ledger.py`.
"""

import getpass
import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from participant.records.ledger import Ledger
from participant.statistics.language.query import Query, canonical
from relay.party.journal import Journal
from secagg.errors import ParameterError

WHOLE_RUN = b""  # the subject of a decision about all queries of a run, never about survivors


@dataclass(frozen=True, slots=True)
class Waiting:
    """An action that the daemon may not take yet.

    Attributes:
        subject: hash of what a decision would be about.
        rules: names of the policy rules behind the wait.
        words: reason for the wait, for this site's officer.
        public: the reason as the coordinator reads it.
        deadline: end of the round for this site, seconds since 1970.
        query: the query that waits for its answer, or None.
        sites: keys of the survivors that wait for this site's signature; empty if none do.
        tasks: names of the plan's tasks that the query can belong to; empty without a plan.
    """

    run: UUID
    project: UUID
    round: int
    subject: bytes
    rules: tuple[str, ...]
    words: str
    public: str
    deadline: int
    query: Query | None = None
    sites: tuple[bytes, ...] = ()
    tasks: tuple[str, ...] = ()

    def asks_the_same_as(self, other: "Waiting") -> bool:
        """Return whether both wait for the same thing; words may differ, since those of a schedule change with time."""
        return all(
            getattr(self, name) == getattr(other, name) for name in ("run", "round", "subject", "rules", "deadline")
        )


def subject_of_query(query: Query) -> bytes:
    """Return the subject of a query's approval: statistic, dataset, columns, rows and floor.

    Parameters are left out: an iterative analysis changes them every round, and the project's terms bound them.
    """
    asked = query.model_dump(mode="json", exclude={"params", "ranges", "value_bits"})
    return sha256(b"query" + canonical(asked)).digest()


def subject_of_set(keys: Iterable[bytes]) -> bytes:
    """Return the subject of an approval of survivors: exactly these sites."""
    return sha256(b"survivors" + b"".join(sorted(keys))).digest()


class Decisions:
    """The tables of decisions in the participant's journal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    # Waiting actions

    def wait(self, waiting: Waiting) -> None:
        """Record a waiting action."""
        facts = {
            "rules": waiting.rules,
            "words": waiting.words,
            "public": waiting.public,
            "query": waiting.query.model_dump(mode="json") if waiting.query else None,
            "sites": [key.hex() for key in waiting.sites],
            "tasks": waiting.tasks,
        }
        row = (str(waiting.run), str(waiting.project), waiting.round, waiting.subject, waiting.deadline)
        self._connection.execute("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?, ?, ?)", (*row, json.dumps(facts)))

    def waiting(self) -> list[Waiting]:
        """Return all waiting actions, nearest deadline first."""
        rows = self._connection.execute(
            "SELECT run, project, round, subject, deadline, facts FROM waiting ORDER BY deadline"
        ).fetchall()
        return [_waiting(*row) for row in rows]

    def waiting_of(self, run: UUID) -> Waiting | None:
        """Return a run's waiting action, or None."""
        return next((one for one in self.waiting() if one.run == run), None)

    def settle(self, run: UUID) -> None:
        """Record that nothing of a run waits any longer."""
        self._connection.execute("DELETE FROM waiting WHERE run = ?", (str(run),))

    # Decisions

    def decide(self, run: UUID, subject: bytes, *, approved: bool) -> None:
        """Record a decision. A later one replaces an earlier one; one about the whole run replaces all of that run."""
        if subject == WHOLE_RUN:
            self._connection.execute("DELETE FROM decision WHERE run = ?", (str(run),))
        self._connection.execute("INSERT OR REPLACE INTO decision VALUES (?, ?, ?)", (str(run), subject, approved))

    def of(self, run: UUID, subject: bytes) -> bool | None:
        """Return whether exactly this subject was approved or denied; None if undecided."""
        row = self._connection.execute(
            "SELECT approved FROM decision WHERE run = ? AND subject = ?", (str(run), subject)
        ).fetchone()
        return bool(row[0]) if row else None

    def of_query(self, run: UUID, query: Query) -> bool | None:
        """Return the decision about a query of a run, made for it alone or for the whole run."""
        found = self.of(run, subject_of_query(query))
        return self.of(run, WHOLE_RUN) if found is None else found

    # Pause

    def is_paused(self) -> bool:
        """Whether the site is paused, so that it reads, computes, signs and sends nothing."""
        return self._connection.execute("SELECT 1 FROM paused").fetchone() is not None

    def pause(self) -> None:
        self._connection.execute("INSERT OR IGNORE INTO paused VALUES (1)")

    def resume(self) -> None:
        self._connection.execute("DELETE FROM paused")


def decide(journal: Journal, run: UUID, *, approved: bool, whole: bool) -> Waiting | None:
    """Record an officer's decision, also in the ledger; return its subject, or None for all queries of the run.

    Raises:
        ParameterError: nothing of the run waits, and the decision is not about the whole run.
    """
    with journal.transaction() as batch:
        decisions, ledger = Decisions(batch.connection), Ledger(batch.connection)
        found = None if whole else decisions.waiting_of(run)
        if found is None and not whole:
            raise ParameterError(
                "nothing of this run waits; to decide in advance about everything it asks, add --whole"
            )
        project = found.project if found else ledger.project_of(run)
        if project is None:
            raise ParameterError("this site takes part in no such run")
        subject = found.subject if found else WHOLE_RUN
        decisions.decide(run, subject, approved=approved)
        ledger.enter(
            {
                "what": "approved" if approved else "denied",
                "at": round(time.time(), 3),
                "by": getpass.getuser(),
                "project": str(project),
                "run": str(run),
                "subject": subject.hex() or "run",
            }
        )
    return found


def set_pause(journal: Journal, *, paused: bool) -> None:
    """Pause or resume the site and note it in the ledger."""
    with journal.transaction() as batch:
        decisions = Decisions(batch.connection)
        if decisions.is_paused() is paused:
            return
        if paused:
            decisions.pause()
        else:
            decisions.resume()
        what = "paused" if paused else "resumed"
        Ledger(batch.connection).enter({"what": what, "at": round(time.time(), 3), "by": getpass.getuser()})


def _waiting(run: str, project: str, round_: int, subject: bytes, deadline: int, facts: str) -> Waiting:
    said: dict[str, Any] = json.loads(facts)
    query = None if said["query"] is None else Query.decode(canonical(said["query"]))
    sites = tuple(bytes.fromhex(key) for key in said["sites"])
    rules = tuple(said["rules"])
    words, public = said["words"], said.get("public", "")  # an earlier version entered no public reason and no tasks
    tasks = tuple(said.get("tasks", ()))
    return Waiting(
        UUID(run), UUID(project), round_, bytes(subject), rules, words, public, deadline, query, sites, tasks
    )
