"""What the journal knows of every run: what it is to do, until when, and where it stands.

A run is entered here before the relay hears of it, and its end is entered here first, too: `told` says whether the
relay has it as well.
"""

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from relay.api.states import FINAL_RUN, RunState
from secagg.errors import ParameterError

if TYPE_CHECKING:
    from participant.analyses.base.spec import TableSpec

RequestedAction = Literal["", "pause", "cancel"]

MAX_REASON = 200
_SAME = (
    "name", "terms", "task", "value_bits", "quorum", "began", "deadline", "ended", "reason", "wish", "position",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as the journal has it.

    Attributes:
        run, project: their IDs.
        name: of the project.
        terms: of the project, canonical bytes.
        tasks: the specifications in order, as plain JSON values.
        task: place of the project's task that it carries out, from 0 on, or None.
        sites: keys of the sites that it begins with.
        value_bits: bits of a value that leave room for all of them.
        quorum: a sum over fewer sites is not asked for.
        began, deadline, ended: seconds since 1970; `ended` is None while it is open.
        repeats: the run that it repeats, if it does.
        state, reason: where it stands, and why.
        told: the relay has this state, too.
        wish: what a command asks of the process that works on it.
        position: ID of the last message that it dealt with.
    """

    run: UUID
    project: UUID
    name: str
    terms: bytes
    tasks: tuple[dict[str, Any], ...]
    task: int | None = None
    sites: tuple[bytes, ...]
    value_bits: int
    quorum: int = 0
    began: float
    deadline: float
    ended: float | None = None
    repeats: UUID | None = None
    state: RunState = RunState.CREATED
    reason: str = ""
    told: bool = False
    wish: RequestedAction = ""
    position: int = 0

    @property
    def specs(self) -> "tuple[TableSpec, ...]":
        """Its analyses, in order."""
        from participant.analyses.catalogue import parse_spec  # noqa: PLC0415  # commands that list runs need none

        return tuple(parse_spec(task) for task in self.tasks)

    @property
    def analyses(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(str(task["analysis"]) for task in self.tasks)

    @property
    def is_over(self) -> bool:
        return self.state in FINAL_RUN

    def facts(self) -> dict[str, Any]:
        """Return what commands tell of the run with --json."""
        return {
            "run": str(self.run),
            "project": self.name,
            "analyses": list(self.analyses),
            "task": self.task,
            "outcome": self.state.value,
            "detail": self.reason,
            "began": self.began,
            "deadline": self.deadline,
            "ended": self.ended,
            "repeats": None if self.repeats is None else str(self.repeats),
            "wish": self.wish,
            "relay_knows": self.told,
        }


class RunRecords:
    """All runs of a journal. Changes are transactions of their own, unless one is open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, record: RunRecord) -> None:
        """Enter a run that nobody has heard of yet."""
        self._connection.execute(
            "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 1, 0, 0, 0, 0)",
            (
                str(record.run),
                str(record.project),
                record.name,
                record.terms,
                json.dumps(record.tasks),
                record.task,
                json.dumps([key.hex() for key in record.sites]),
                record.value_bits,
                record.quorum,
                record.began,
                record.deadline,
                record.ended,
                None if record.repeats is None else str(record.repeats),
                record.state,
                record.reason,
                record.told,
                record.wish,
                record.position,
            ),
        )

    def get(self, run: UUID) -> RunRecord:
        """Return a run; raises ParameterError for one that the journal does not know."""
        found = _records(self._connection.execute("SELECT * FROM run WHERE run = ?", (str(run),)))
        if not found:
            raise ParameterError(f"this coordinator's journal knows no run {run}; see: secagg-coordinator runs")
        return found[0]

    def all(self) -> list[RunRecord]:
        """Return all runs, the newest first."""
        return _records(self._connection.execute("SELECT * FROM run ORDER BY began DESC"))

    def move(self, run: UUID, state: RunState, reason: str = "", *, told: bool = False) -> None:
        """Enter the state of a run, unless it is in a final one."""
        ended = time.time() if state in FINAL_RUN else None
        self._connection.execute(
            "UPDATE run SET state = ?, reason = ?, told = ?, ended = ? WHERE run = ? "
            "AND state NOT IN ('completed', 'failed', 'cancelled')",
            (state, _said(reason), told, ended, str(run)),
        )

    def tell(self, run: UUID) -> None:
        """Note that the relay has the run's state."""
        self._connection.execute("UPDATE run SET told = 1 WHERE run = ?", (str(run),))

    def wish(self, run: UUID, wish: RequestedAction) -> None:
        """Ask something of the process that works on the run, or nothing any more."""
        self._connection.execute("UPDATE run SET wish = ? WHERE run = ?", (wish, str(run)))

    def wished(self, run: UUID) -> RequestedAction:
        """Return what was asked."""
        found: RequestedAction = self._connection.execute("SELECT wish FROM run WHERE run = ?", (str(run),)).fetchone()[
            0
        ]
        return found

    def restored(self, run: UUID) -> None:
        """Note that what the journal has of an open run came out of a backup: it goes on from its checkpoints alone."""
        self._connection.execute("UPDATE run SET stored = -1 WHERE run = ?", (str(run),))

    def is_copy(self, run: UUID) -> bool:
        """Tell whether that was noted, and no checkpoint was taken up since."""
        found = self._connection.execute("SELECT stored FROM run WHERE run = ?", (str(run),)).fetchone()
        return bool(found[0] < 0)

    def burn(self, run: UUID) -> None:
        """Open no more rounds in the epochs that there are: their keys may have sealed what this journal never saw."""
        self._connection.execute(
            "UPDATE run SET burnt = coalesce((SELECT max(number) FROM epoch WHERE epoch.run = run.run), 0) "
            "WHERE run = ?",
            (str(run),),
        )


def _said(reason: str) -> str:
    """Return a reason in the form that the relay takes, too."""
    words = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    return words[:MAX_REASON].strip()


def _records(cursor: sqlite3.Cursor) -> list[RunRecord]:
    names = [column[0] for column in cursor.description]
    return [_record(dict(zip(names, row, strict=True))) for row in cursor]


def _record(row: dict[str, Any]) -> RunRecord:
    return RunRecord(
        run=UUID(row["run"]),
        project=UUID(row["project"]),
        tasks=tuple(json.loads(row["tasks"])),
        sites=tuple(bytes.fromhex(key) for key in json.loads(row["sites"])),
        repeats=None if row["repeats"] is None else UUID(row["repeats"]),
        state=RunState(row["state"]),
        told=bool(row["told"]),
        **{name: row[name] for name in _SAME},
    )
