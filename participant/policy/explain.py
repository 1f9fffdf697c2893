"""Explains what a run asks, in words and as JSON: what would leave, its floors and cost, and which answers it is near.

Written for the officer who decides. It uses this site's own records and data and sends nothing; its facts about rows
are for the site alone.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple
from uuid import UUID

from participant.data.model.errors import DatasetError
from participant.data.store.store import DatasetStore
from participant.policy.answer import distances
from participant.policy.differencing import AnsweredRows
from participant.policy.rules import Policy
from participant.records.decisions import Decisions, Waiting, subject_of_query
from participant.records.ledger import ConfirmedProject, Ledger
from participant.records.standing import StandingApprovals
from participant.records.standing import in_words as in_words_of_standing
from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.evaluation.describe import describe
from participant.statistics.language.query import Query, canonical
from participant.study.terms import ProjectTerms
from relay.party.journal import Journal
from relay.service.dates import utc
from secagg.errors import ParameterError

Facts = dict[str, Any]
_SITES = (("survivor", "survivors"), ("missing", "missing"))


def explain(run: UUID, journal: Journal, store: DatasetStore, policy: Policy) -> Facts:
    """Return what a run asks: the waiting question, or else each question that it has asked.

    Raises:
        ParameterError: this site does not take part in the run, or the run has asked nothing yet.
        BrokenChainError: a ledger entry was altered.
    """
    ledger, records = Ledger(journal.connection), AnsweredRows(journal.connection)
    waiting = Decisions(journal.connection).waiting_of(run)
    entries = ledger.entries()
    project = ledger.project_of(run)
    if project is None:
        raise ParameterError("this site takes part in no such run; list them with: runs")
    questions = _questions(run, waiting, entries)
    if not questions and waiting is None:
        raise ParameterError("the run has asked nothing yet")
    used = {
        dataset: ledger.releases(project, dataset, policy.budget.since(time.time()))
        for dataset in {one.bound.query.dataset for one in questions}
    }
    return {
        "run": str(run),
        "project": str(project),
        "waits": None if waiting is None else _of_waiting(waiting, ledger.confirmed(project)),
        "standing": _standing(journal, ledger.confirmed(project)),
        "questions": [
            {
                **asdict(describe(one.bound)),
                "tasks": list(one.tasks),
                "floors": {
                    "persons": one.bound.query.minimum_persons,
                    "survivors": policy.minimum_survivors,
                    "sites": policy.minimum_sites,
                },
                "budget": {
                    "costs": 1,
                    "used": used[one.bound.query.dataset],
                    "releases": policy.budget.releases,
                    "days": policy.budget.days,
                },
                "earlier": _earlier(one.bound, store, records, entries, run),
                "near_answers": policy.near_answers,
            }
            for one in questions
        ],
    }


class _Question(NamedTuple):
    """A question and the names of the plan's tasks that it can belong to, none without a plan."""

    bound: BoundQuery
    tasks: tuple[str, ...]


def _questions(run: UUID, waiting: Waiting | None, entries: Sequence[Facts]) -> list[_Question]:
    """Return the waiting query, or the last one of each kind that the run asked."""
    if waiting is not None:
        return [_Question(bind(waiting.query), waiting.tasks)] if waiting.query else []
    found = {}
    for one in entries:
        if one["what"] == "upload" and one["run"] == str(run):
            query, task = Query.decode(canonical(one["query"])), one.get("task")
            found[subject_of_query(query)] = _Question(bind(query), tuple(task["names"]) if task else ())
    return list(found.values())


def _of_waiting(waiting: Waiting, confirmed: ConfirmedProject | None) -> Facts:
    members = confirmed.roster.sites if confirmed and waiting.sites else ()
    return {
        "round": waiting.round,
        "rules": list(waiting.rules),
        "why": waiting.words,
        "until": waiting.deadline,
        "survivors": [key.hex() for key in waiting.sites],
        "missing": [key.hex() for key in members if key not in waiting.sites],
    }


def _standing(journal: Journal, confirmed: ConfirmedProject | None) -> list[Facts]:
    """Return the standing approvals for the project's dataset, with what each allows in words."""
    if confirmed is None:
        return []
    approvals, now = StandingApprovals(journal.connection), time.time()
    dataset = ProjectTerms.decode(confirmed.terms).dataset
    return [
        {**one.facts(len(approvals.used(one, now))), "allows": in_words_of_standing(one)}
        for one in approvals.all(dataset)
    ]


def _earlier(
    bound: BoundQuery, store: DatasetStore, records: AnsweredRows, entries: Sequence[Facts], run: UUID
) -> Facts:
    """Return by how many persons the rows differ from those of each earlier answer to another run."""
    try:
        gaps = distances(bound, store, records.row_sets(bound.query.dataset))
    except (ParameterError, DatasetError) as error:
        return {"unknown": str(error)}
    answers = [
        {"entry": number, "run": one["run"], "statistic": one["query"]["statistic"], "persons": gaps[one["rows"]]}
        for number, one in enumerate(entries, 1)
        if one["what"] == "upload" and one.get("rows") in gaps and one["run"] != str(run)
    ]
    return {
        "answers": answers,
        "near": [one["entry"] for one in answers if 0 < one["persons"] < bound.query.minimum_persons],
    }


def in_words(facts: Facts) -> str:
    """Format what `explain` found for a terminal."""
    lines = [f"run {facts['run']} of project {facts['project']}"]
    if (waits := facts["waits"]) is not None:
        until = utc(waits["until"], exact=True)
        lines.append(f"Round {waits['round']} waits ({', '.join(waits['rules'])}): {waits['why']}. Until {until}.")
        lines += [f"  {word:<8} {key}" for word, what in _SITES for key in waits[what]]
        if waits["survivors"]:
            lines.append(
                "If you approve, the sum over exactly these survivors is opened. Subtracting a sum over almost the "
                "same sites approximates what the others sent. To see whose keys these are: project show."
            )
    lines += [
        f"By standing approval {one['number']} {one['allows']} Used in {one['used']} of {one['times']} runs."
        for one in facts["standing"]
    ]
    for one in facts["questions"]:
        lines += ["", *_question(one)]
    return "\n".join(lines)


def _question(one: Facts) -> list[str]:
    budget, columns = one["budget"], ", ".join(one["columns"])
    task = [f"This belongs to the plan's task {' or '.join(one['tasks'])}."] if one["tasks"] else []
    return [
        *task,
        f"{one['statistic']} over dataset {one['dataset']}: {one['numbers']} numbers leave this site, masked.",
        f"Columns: {columns}.",
        one["rows"],
        one["floor"],
        f"Each sum covers at least {one['floors']['survivors']} sites.",
        one["tells"],
        f"It costs 1 of the {budget['releases']} releases in {budget['days']} days; {budget['used']} are used.",
        _near(one["earlier"], one["near_answers"]),
    ]


def _near(earlier: Facts, rule: str) -> str:
    if "unknown" in earlier:
        return f"The difference from the rows of earlier answers is unknown: {earlier['unknown']}."
    if not earlier["answers"]:
        return "No other run has had an answer from this dataset, so there is nothing to subtract."
    least = min(earlier["answers"], key=lambda one: int(one["persons"]))
    if not earlier["near"]:
        return (
            f"Its rows are nearest to those of ledger entry {least['entry']}, {least['persons']} persons away: "
            "the difference of the two answers is about that many persons, or none."
        )
    near = ", ".join(map(str, earlier["near"]))
    if rule == "refuse":
        follows = "your policy (near_answers) refuses the question, which discloses that such persons exist."
    else:
        follows = "the answer therefore uses other rows, with the same people or fewer."
    return (
        f"Its rows differ by too few persons from those of ledger entry {near}. The difference would reveal "
        f"those persons; {follows}"
    )
