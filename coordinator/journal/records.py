"""The journal's entry for each run: its tasks, deadline and state.

A run, and later its end, is entered here before the relay learns of it; `told` says whether the relay knows the state.
"""

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from relay.api.states import FINAL_RUN, RunState
from relay.service.designation import designated
from secagg.errors import ParameterError

if TYPE_CHECKING:
    from participant.analyses.base.spec import TableSpec

RequestedAction = Literal["", "pause", "cancel"]

MAX_REASON = 200
_WITH_WAITS = (
    "SELECT run.*, EXISTS (SELECT 1 FROM standing WHERE standing.run = run.run AND how = 'waiting') AS waits FROM run"
)
_SAME = (
    "name", "terms", "task", "value_bits", "quorum", "began", "deadline", "ended", "reason", "wish", "position",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as the journal records it.

    Attributes:
        run, project: IDs of the run and its project.
        name: name of the project.
        terms: terms of the project, as canonical bytes.
        tasks: specifications in order, as plain JSON values.
        task: index of the project task that the run executes, from 0, or None.
        sites: keys of the sites that the run begins with.
        value_bits: number of bits per value, which leaves room for the sum over these sites.
        quorum: minimum number of sites in a sum.
        began, deadline, ended: seconds since 1970; `ended` is None while the run is open.
        repeats: ID of the run that this one reruns, or None.
        state, reason: state of the run, and the reason for it.
        told: whether the relay knows this state.
        wish: action that a command has requested of the executing process.
        position: ID of the last message that the run has processed.
        waits: whether it waits for a site's officer or schedule.
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
    waits: bool = False

    @property
    def shown(self) -> str:
        """The state as people and programs read it: a running run may be `waiting`."""
        return "waiting" if self.waits and self.state is RunState.RUNNING else self.state.value

    @property
    def specs(self) -> "tuple[TableSpec, ...]":
        """The run's analyses, in order."""
        from participant.analyses.catalogue import parse_spec  # noqa: PLC0415  # commands that list runs need none

        return tuple(parse_spec(task) for task in self.tasks)

    @property
    def analyses(self) -> tuple[str, ...]:
        """The analyses' names, in order."""
        return tuple(str(task["analysis"]) for task in self.tasks)

    @property
    def is_over(self) -> bool:
        return self.state in FINAL_RUN

    def facts(self) -> dict[str, Any]:
        """Return the facts that commands report about the run with --json."""
        return {
            "run": str(self.run),
            "project": self.name,
            "analyses": list(self.analyses),
            "task": self.task,
            "outcome": self.shown,
            "detail": self.reason,
            "began": self.began,
            "deadline": self.deadline,
            "ended": self.ended,
            "repeats": None if self.repeats is None else str(self.repeats),
            "wish": self.wish,
            "relay_knows": self.told,
        }


class RunRecords:
    """All runs of a journal. Each change is its own transaction unless one is open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, record: RunRecord) -> None:
        """Enter a new run."""
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
        """Return a run; raises ParameterError if the journal does not have it."""
        found = _records(self._connection.execute(f"{_WITH_WAITS} WHERE run.run = ?", (str(run),)))
        if not found:
            raise ParameterError(
                f"this coordinator's journal has no run {run}; list the runs with: secagg-coordinator runs"
            )
        return found[0]

    def find(self, given: str) -> UUID:
        """Return the ID of a run, given whole or by its beginning; raises ParameterError."""
        runs = {UUID(run): "" for (run,) in self._connection.execute("SELECT run FROM run")}
        return designated(given, runs, "run", see="secagg-coordinator runs")

    def all(self) -> list[RunRecord]:
        """Return all runs, newest first."""
        return _records(self._connection.execute(f"{_WITH_WAITS} ORDER BY began DESC"))

    def move(self, run: UUID, state: RunState, reason: str = "", *, told: bool = False) -> None:
        """Enter a new state of a run unless the run is in a final state."""
        ended = time.time() if state in FINAL_RUN else None
        self._connection.execute(
            "UPDATE run SET state = ?, reason = ?, told = ?, ended = ? WHERE run = ? "
            "AND state NOT IN ('completed', 'failed', 'cancelled')",
            (state, _said(reason), told, ended, str(run)),
        )

    def tell(self, run: UUID) -> None:
        """Record that the relay knows the run's state."""
        self._connection.execute("UPDATE run SET told = 1 WHERE run = ?", (str(run),))

    def request(self, run: UUID, action: RequestedAction) -> None:
        """Request an action of the process that executes the run, or withdraw the request."""
        self._connection.execute("UPDATE run SET wish = ? WHERE run = ?", (action, str(run)))

    def requested(self, run: UUID) -> RequestedAction:
        """Return the requested action."""
        found: RequestedAction = self._connection.execute("SELECT wish FROM run WHERE run = ?", (str(run),)).fetchone()[
            0
        ]
        return found

    def restored(self, run: UUID) -> None:
        """Record that an open run was restored from a backup: it can continue only from its checkpoints."""
        self._connection.execute("UPDATE run SET stored = -1 WHERE run = ?", (str(run),))

    def is_copy(self, run: UUID) -> bool:
        """Return whether the run was restored and no checkpoint has been loaded since."""
        found = self._connection.execute("SELECT stored FROM run WHERE run = ?", (str(run),)).fetchone()
        return bool(found[0] < 0)

    def burn(self, run: UUID) -> None:
        """Forbid further rounds in existing epochs: their keys may have sealed messages unknown to this journal."""
        self._connection.execute(
            "UPDATE run SET burnt = coalesce((SELECT max(number) FROM epoch WHERE epoch.run = run.run), 0) "
            "WHERE run = ?",
            (str(run),),
        )


def _said(reason: str) -> str:
    """Return a reason in a form that the relay also accepts."""
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
        waits=bool(row["waits"]),
        **{name: row[name] for name in _SAME},
    )
