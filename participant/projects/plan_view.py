"""A project's plan as an officer reads it before agreeing: each task in words, and what the review finds.

The review also covers the site's own rows. Those findings are for the officer alone: they are shown here
and sent nowhere.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from participant.data.model.errors import DatasetError
from participant.data.store.store import DatasetStore
from participant.projects.amendments import ProjectVersion
from participant.study.amended import AmendmentError, check_amendment, differences, with_earlier
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


class AmendmentView(NamedTuple):
    """An amendment for its reader: what it changes, and its plan, reviewed together with the tasks of earlier ones."""

    version: int
    agreed: bool | None
    changes: tuple[str, ...]
    plan: PlanView

    def facts(self) -> dict[str, Any]:
        """Return the view as plain values."""
        return {
            "version": self.version,
            "agreed": self.agreed,
            "changes": list(self.changes),
            "plan": self.plan.facts(),
        }

    def words(self) -> str:
        """Format the view for a terminal."""
        decided = {True: "you agreed to it", False: "you declined it", None: "you have not decided"}[self.agreed]
        return "\n".join(
            [
                "",
                f"Version {self.version} of the plan ({decided}):",
                *(f"  {change}" for change in self.changes),
                self.plan.words(),
            ]
        )


def plan_view(terms: ProjectTerms, store: DatasetStore, earlier: Sequence[ProjectTerms] = ()) -> PlanView:
    """Return the plan of a project, reviewed together with the tasks of earlier versions.

    Raises:
        PlanError: the tasks exceed the terms.
    """
    together = with_earlier(earlier, terms) if earlier else terms
    return PlanView(code_of(terms), tasks_in_words(terms), review(together), _among_rows(together, store))


def amendment_views(known: Sequence[ProjectVersion], store: DatasetStore) -> tuple[AmendmentView, ...]:
    """Return a view of each amendment among the versions of a project, oldest first."""
    return tuple(_amendment_view(known[:place], known[place], store) for place in range(1, len(known)))


def _amendment_view(before: Sequence[ProjectVersion], after: ProjectVersion, store: DatasetStore) -> AmendmentView:
    earlier = [one.terms for one in before]
    changes: tuple[str, ...]
    try:
        check_amendment(earlier, after.terms)
    except AmendmentError as fault:
        changes, earlier = (f"it cannot be agreed to: {fault}",), []
    else:
        changes = differences(earlier[-1], after.terms)
    return AmendmentView(after.number, after.agreed, changes, plan_view(after.terms, store, earlier))


def _among_rows(terms: ProjectTerms, store: DatasetStore) -> tuple[Finding, ...]:
    if terms.plan is None:
        return ()
    try:
        return review_rows(terms, store.load(terms.dataset, terms.columns, store.describe(terms.dataset).version))
    except DatasetError as error:
        return (Finding("notice", "dataset", f"it was not reviewed: {error}"),)
