"""A run as analysts see it: what was asked, what came out, and which sites took part."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from uuid import UUID

from coordinator.journal.receipts import ReceiptLog
from coordinator.journal.records import RunRecords
from coordinator.journal.tables import ReleasedSum, RunTables
from coordinator.report.recall import recall
from coordinator.report.text import as_facts, words_of
from coordinator.runs.lifecycle import HeldBySites, RunOutcome
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.bound import BoundQuery
from participant.study.terms import ProjectTerms
from secagg.errors import ParameterError


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run of a project, or of a simulation.

    Attributes:
        id: ID of the run.
        project: name of the project.
        tasks: specifications that were asked for, as JSON values.
        results: result of each task in order; if the run failed, of the tasks it finished.
        answers: every query that was asked, with its round, sites and sum.
        outcome: state of the run, such as completed, failed or running; or simulated.
        detail: reason for a failure.
        began, ended: seconds since 1970; None for a simulation, and `ended` also while the run is open.
        terms: terms of the project; None for a simulation without terms.
        receipt: hash of the current receipt in hex, or "" if there is none, as in a simulation.
    """

    id: UUID
    project: str
    tasks: tuple[Mapping[str, Any], ...]
    results: tuple[AnalysisResult | HeldBySites, ...]
    answers: tuple[tuple[BoundQuery, ReleasedSum], ...]
    outcome: str
    detail: str = ""
    began: float | None = None
    ended: float | None = None
    terms: ProjectTerms | None = None
    receipt: str = ""

    @classmethod
    def simulated(
        cls, run: UUID, project: str, tasks: tuple[TableSpec, ...], report: RunOutcome, terms: ProjectTerms | None
    ) -> "RunReport":
        asked = tuple(task.model_dump(mode="json", exclude_none=True) for task in tasks)
        return cls(run, project, asked, report.results, report.answers, "simulated", terms=terms)

    @property
    def result(self) -> AnalysisResult:
        """The result of a run with one task.

        Raises:
            ParameterError: the run has several tasks or failed, or the sites keep the sum to themselves.
        """
        if len(self.results) != 1 or len(self.tasks) != 1:
            raise ParameterError(f"the run has {len(self.results)} results of {len(self.tasks)} tasks; use `results`")
        (only,) = self.results
        if isinstance(only, HeldBySites):
            raise ParameterError(words_of(only))
        return only

    @property
    def listed(self) -> "RunListing":
        """The run's line in the list of runs."""
        analyses = tuple(str(task["analysis"]) for task in self.tasks)
        return RunListing(self.id, self.project, analyses, self.outcome, self.began, self.ended, self.detail)

    def summary(self) -> str:
        """Return all results as text for a terminal."""
        failed = [f"{self.outcome}: {self.detail}"] if self.detail else []
        return "\n\n".join([*(words_of(one) for one in self.results), *failed])

    def to_dict(self) -> dict[str, Any]:
        """Return results, queries, rounds and sites as JSON values."""
        return as_facts(self.id, RunOutcome(self.results, self.answers, {}))

    def _repr_html_(self) -> str:
        return "".join(
            one._repr_html_() if isinstance(one, AnalysisResult) else f"<p>{escape(words_of(one))}</p>"
            for one in self.results
        )

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.project!r}: {self.outcome}>"


@dataclass(frozen=True, slots=True)
class RunListing:
    """A line of the list of runs, with the attributes of `RunReport` and the names of its `analyses`."""

    id: UUID
    project: str
    analyses: tuple[str, ...]
    outcome: str
    began: float | None
    ended: float | None
    detail: str


def earlier_runs(connection: sqlite3.Connection) -> list[RunListing]:
    """Return the runs of a journal, newest first."""
    return [
        RunListing(one.run, one.name, one.analyses, one.state.value, one.began, one.ended, one.reason)
        for one in RunRecords(connection).all()
    ]


async def earlier_run(connection: sqlite3.Connection, run: UUID) -> RunReport:
    """Return a run of a journal with its results, without asking any site again.

    Raises:
        ParameterError: the journal does not have the run.
    """
    record = RunRecords(connection).get(run)
    report = await recall(record, RunTables(connection, record.run))
    entries = ReceiptLog(connection, record.run).entries()
    return RunReport(
        record.run,
        record.name,
        record.tasks,
        report.results,
        report.answers,
        record.state.value,
        record.reason,
        record.began,
        record.ended,
        ProjectTerms.decode(record.terms),
        entries[-1].head.hex() if entries else "",
    )
