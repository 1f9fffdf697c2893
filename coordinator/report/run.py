"""A run as analysts see it when it is over: what was asked, what came out, over whom."""

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
        id: of the run.
        project: the project's name.
        tasks: what was asked for, the specifications' members as JSON has them.
        results: one for each task in order; of a run that failed, those that it came to.
        answers: every query that was asked, with its round, sites and sum.
        outcome: the state of the run, such as completed, failed or running; or simulated.
        detail: why it failed.
        began, ended: seconds since 1970; None for a simulation, and for a run that is open.
        terms: of the project; None for a simulation without any.
        receipt: hash of its receipt as it stands, in hex; "" where there is none, as of a simulation.
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
            ParameterError: it has several, the run failed, or the sites keep the sum to themselves.
        """
        if len(self.results) != 1 or len(self.tasks) != 1:
            raise ParameterError(f"the run has {len(self.results)} results of {len(self.tasks)} tasks; see `results`")
        (only,) = self.results
        if isinstance(only, HeldBySites):
            raise ParameterError(words_of(only))
        return only

    @property
    def listed(self) -> "RunListing":
        """Its line in the list of runs."""
        analyses = tuple(str(task["analysis"]) for task in self.tasks)
        return RunListing(self.id, self.project, analyses, self.outcome, self.began, self.ended, self.detail)

    def summary(self) -> str:
        """Return all results as text for a terminal."""
        failed = [f"{self.outcome}: {self.detail}"] if self.detail else []
        return "\n\n".join([*(words_of(one) for one in self.results), *failed])

    def to_dict(self) -> dict[str, Any]:
        """Return results, queries, rounds and sites as JSON can hold them."""
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
    """A line of the list of runs; the attributes are those of `RunReport`, `analyses` the names of its tasks."""

    id: UUID
    project: str
    analyses: tuple[str, ...]
    outcome: str
    began: float | None
    ended: float | None
    detail: str


def earlier_runs(connection: sqlite3.Connection) -> list[RunListing]:
    """Return the runs of a journal, the newest first."""
    return [
        RunListing(one.run, one.name, one.analyses, one.state.value, one.began, one.ended, one.reason)
        for one in RunRecords(connection).all()
    ]


async def earlier_run(connection: sqlite3.Connection, run: UUID) -> RunReport:
    """Return one of them with its results, which nobody is asked for again.

    Raises:
        ParameterError: the journal does not know it.
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
