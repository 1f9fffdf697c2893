"""A plan at a site: each query is checked against the sums in the ledger, even by a new daemon."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from coordinator.demo.lung import lung_by_institution
from participant.analyses.base.secure_sum import Sum
from participant.daemon.epoch import RunContext
from participant.daemon.plan_control import PlanControl
from participant.policy.rules import RefusedError
from participant.records.ledger import TABLES, Ledger
from participant.statistics.evaluation.bound import BoundQuery
from participant.study.replay import Occurrence
from participant.study.terms import ProjectTerms
from relay.party.journal import Journal
from tests.support.plain_sum import PlainSum
from tests.support.plans import CLUSTERS, LOGISTIC, planned

PROJECT, RUN, LATER = UUID(int=1), UUID(int=2), UUID(int=3)
SITES = 9


class Recorded(PlainSum):
    """The sums of a run, in order."""

    def __init__(self) -> None:
        super().__init__(lung_by_institution(), quantised=True)
        self.answers: list[tuple[BoundQuery, Sum]] = []

    async def __call__(self, query: BoundQuery) -> Sum:
        answer = await super().__call__(query)
        self.answers.append((query, answer))
        return answer


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "party", TABLES)
    yield made
    made.close()


def answers(terms: ProjectTerms, *names: str) -> list[tuple[BoundQuery, Sum]]:
    """What a run of these tasks asks and is answered."""
    run, specs = Recorded(), dict(terms.plan.specs(terms.dataset))
    for name in names:
        asyncio.run(specs[name].analyse(run))
    return run.answers


def context(terms: ProjectTerms, run: UUID = RUN) -> RunContext:
    return RunContext(run, PROJECT, bytes(32), terms, SITES)


def asked(control: PlanControl, query: BoundQuery, where: RunContext) -> Occurrence | None:
    return asyncio.run(control.task(query, where))


def enter(
    journal: Journal, round_: int, query: BoundQuery, answer: Sum | None, task: Occurrence | None, run: UUID = RUN
) -> None:
    """What a daemon enters for a round; without its answer it was given up after the upload."""
    named = {"project": str(PROJECT), "run": str(run), "round": round_}
    with journal.transaction() as batch:
        ledger = Ledger(batch.connection)
        facts = {"query": query.query.model_dump(mode="json"), "dataset_version": 4, "at": 1.0}
        use = None if task is None else {"names": task.names, "number": task.number}
        ledger.enter({"what": "upload", "task": use, **facts, **named})
        if answer is not None:
            ledger.enter({"what": "survivors", "sites": list(answer.sites), "at": 1.0, **named})
            total = query.layout.flatten(answer.values)
            ledger.keep_result(run, round_, (1, 2, 3), total.astype("<f8").tobytes(), b"")


@pytest.mark.parametrize("anew", [False, True], ids=["a daemon", "one started anew before each question"])
def test_a_run_is_followed_through_its_rounds(journal: Journal, *, anew: bool) -> None:
    terms = planned(LOGISTIC, CLUSTERS, minimum_persons=1)
    control, found = PlanControl(Ledger(journal.connection)), []
    for round_, (query, answer) in enumerate(answers(terms, "clusters", "model"), start=1):
        control = PlanControl(Ledger(journal.connection)) if anew else control
        task = asked(control, query, context(terms))
        found.append(task)
        if round_ == 3:  # given up, and asked again
            enter(journal, 100, query, None, task)
            assert asked(control, query, context(terms)) == task
        enter(journal, round_, query, answer, task)
    assert list(dict.fromkeys(found)) == [Occurrence(("clusters",), 0), Occurrence(("model",), 1)]


def test_a_question_out_of_turn_is_declined_by_name(journal: Journal) -> None:
    terms = planned(LOGISTIC, CLUSTERS, minimum_persons=1)
    (first, answer), *_, (last, _) = answers(terms, "clusters")
    control = PlanControl(Ledger(journal.connection))
    with pytest.raises(RefusedError, match=r"^plan: the question does not follow") as refusal:
        asked(control, last, context(terms))
    assert refusal.value.rules == ("plan",)
    enter(journal, 1, first, answer, asked(control, first, context(terms)))
    with pytest.raises(RefusedError, match=r"^plan: "):
        asked(control, last, context(terms))


def test_a_project_without_a_plan_follows_nothing(journal: Journal) -> None:
    terms = planned(CLUSTERS, minimum_persons=1)
    (first, _), *_ = answers(terms, "clusters")
    unplanned = context(terms.model_copy(update={"plan": None}))
    control = PlanControl(Ledger(journal.connection))
    assert asked(control, first, unplanned) is None
    assert control.version(unplanned) is None


def test_a_task_is_begun_as_often_as_the_plan_says_over_all_runs(journal: Journal) -> None:
    terms = planned(LOGISTIC | {"releases": 2}, CLUSTERS | {"releases": 1}, minimum_persons=1)
    (query, answer), *_ = answers(terms, "model")
    control = PlanControl(Ledger(journal.connection))
    for number, run in enumerate((RUN, LATER), start=1):
        enter(journal, number, query, answer, asked(control, query, context(terms, run)), run)
    with pytest.raises(RefusedError, match="no releases left"):
        asked(control, query, context(terms, UUID(int=9)))
    (other, _), *_ = answers(terms, "clusters")
    assert asked(control, other, context(terms, UUID(int=9))).names == ("clusters",)


def test_a_task_that_was_given_up_for_another_one_is_begun_all_the_same(journal: Journal) -> None:
    """Its first sum may be known to the coordinator, who did not send it."""
    terms = planned(LOGISTIC | {"releases": 1}, CLUSTERS, minimum_persons=1)
    (given_up, _), *_ = answers(terms, "model")
    (other, answer), *_ = answers(terms, "clusters")
    for round_, (query, known) in enumerate([(given_up, None), (other, answer)], start=1):
        control = PlanControl(Ledger(journal.connection))  # one that has forgotten what it was asked without a sum
        enter(journal, round_, query, known, asked(control, query, context(terms)))
    with pytest.raises(RefusedError, match="no releases left"):
        asked(control, given_up, context(terms, LATER))


def test_frozen_data_are_those_of_the_first_answer(journal: Journal) -> None:
    frozen, growing = planned(CLUSTERS, minimum_persons=1), planned(CLUSTERS, data="growing", minimum_persons=1)
    control = PlanControl(Ledger(journal.connection))
    assert control.version(context(frozen)) is None
    (query, answer), *_ = answers(frozen, "clusters")
    enter(journal, 1, query, answer, asked(control, query, context(frozen)))
    assert control.version(context(frozen)) == 4
    assert control.version(context(growing)) is None
