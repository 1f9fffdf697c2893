"""A project's plan as an officer reads it before agreeing: each task in words, and what the review finds.

The review also covers the site's own rows. Those findings are for the officer alone: they are shown here
and sent nowhere.
"""

from typing import Any, NamedTuple

from participant.data.model.errors import DatasetError
from participant.data.store.store import DatasetStore
from participant.study.review import Finding, TaskInWords, code_of, review, review_rows, tasks_in_words
from participant.study.terms import ProjectTerms


class PlanView(NamedTuple):
    """A plan for its reader: its code, its tasks, findings about it, and findings among this site's rows."""

    code: str
    tasks: tuple[TaskInWords, ...]
    findings: tuple[Finding, ...]
    among_rows: tuple[Finding, ...]

    def facts(self) -> dict[str, Any]:
        """Return the view as plain values."""
        return {
            "code": self.code,
            "tasks": [one.facts() for one in self.tasks],
            "findings": [one._asdict() for one in self.findings],
            "findings_here": [one._asdict() for one in self.among_rows],
        }

    def words(self) -> str:
        """Format the view for a terminal."""
        lines = ["", "The plan:" if self.tasks else "There is no plan.", *map(str, self.tasks)]
        lines += ["", "The review finds:" if self.findings else "The review finds nothing.", *map(str, self.findings)]
        if self.among_rows:
            lines += ["Among this site's own rows (for you alone):", *map(str, self.among_rows)]
        return "\n".join([*lines, f"The plan's code, to agree to it: {self.code}"])


def plan_view(terms: ProjectTerms, store: DatasetStore) -> PlanView:
    """Return the plan of a project; raises PlanError if its tasks exceed the terms."""
    tasks = tasks_in_words(terms)
    return PlanView(code_of(terms), tasks, review(terms), _among_rows(terms, store))


def _among_rows(terms: ProjectTerms, store: DatasetStore) -> tuple[Finding, ...]:
    if terms.plan is None:
        return ()
    try:
        return review_rows(terms, store.load(terms.dataset, terms.columns, store.describe(terms.dataset).version))
    except DatasetError as error:
        return (Finding("notice", "dataset", f"it was not reviewed: {error}"),)
