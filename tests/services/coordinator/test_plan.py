"""A project with a study plan, with real daemons at a real relay: they answer only queries that follow from it."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from coordinator.projects.projects import sealed
from coordinator.runs import lifecycle
from coordinator.runs.lifecycle import Order, RunOutcome, begin, carry_out
from coordinator.runs.secure_sum import RunSum
from coordinator.session.progress import Event, nowhere
from coordinator.session.session import Session
from participant.analyses.base.errors import SpecError
from participant.analyses.base.secure_sum import Sum
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.language.conditions import Comparison
from participant.study.terms import ProjectTerms
from secagg.errors import NotEnoughParticipantsError
from tests.support.cohort import Cohort
from tests.support.plans import KAPLAN_MEIER, LOGISTIC, planned

CURVE = KAPLAN_MEIER | {"grid": {"width": 7, "count": 30}}
MODEL = {key: value for key, value in LOGISTIC.items() if key != "categories"} | {"formula": "status ~ age"}
DECLINED = r"declined: plan: the question does not follow"


def terms(**releases: int) -> ProjectTerms:
    tasks = [{**task, "releases": releases.get(task["name"], 9)} for task in (CURVE, MODEL)]
    return planned(*tasks, loss_rule="continue", minimum_persons=1)


async def agreed(there: Cohort, of: ProjectTerms) -> UUID:
    return await there.project(**dict(of))


def specs(of: ProjectTerms) -> dict[str, TableSpec]:
    return dict(of.plan.specs("lung"))


async def done(
    session: Session, project: UUID, *tasks: TableSpec, show: Callable[[Event], None] = nowhere
) -> RunOutcome:
    found = await sealed(session.relay, project)
    run = begin(session, found, Order(tasks=tasks))
    return await carry_out(run, found, session, show)


async def test_the_tasks_of_a_plan_are_carried_out_in_any_order_and_the_ledger_names_them(four: Cohort) -> None:
    """Daemons that are started again in the middle take the run up from their ledger."""
    plan = terms()
    project = await agreed(four, plan)
    rounds: list[int] = []
    going: list[asyncio.Task[None]] = []

    async def again() -> None:
        await four.sleep(*four.sites)
        four.wake()

    def restart(event: Event) -> None:
        if event.what == "round-done":
            rounds.append(event.round)
            if len(rounds) == 4:
                going.append(asyncio.create_task(again()))

    async with four.session() as session:
        model, curve = specs(plan)["model"], specs(plan)["curve"]
        report = await done(session, project, model, curve, show=restart)
    await asyncio.gather(*going)
    assert len(rounds) > 5
    assert [result.analysis for result in report.results] == ["glm", "kaplan-meier"]
    [*first, last] = [(entry["task"]["names"], entry["task"]["number"]) for entry in four.sites[0].uploads]
    assert last == (["curve"], 1)
    assert set(map(str, first)) == {"(['model'], 0)"}


async def test_a_task_that_is_not_the_plans_is_refused_here_and_declined_there(
    four: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = terms()
    project = await agreed(four, plan)
    forged = specs(plan)["model"].narrowed(Comparison(column="age", op=">=", value=60.0))
    async with four.session() as session:
        with pytest.raises(SpecError, match="no task of the project's plan is this analysis"):
            await done(session, project, forged)
        monkeypatch.setattr(lifecycle, "check_plan", lambda *_: None)
        with pytest.raises(NotEnoughParticipantsError, match=DECLINED):
            await done(session, project, forged)
    assert [site.uploads for site in four.sites] == [[]] * 4


async def test_coefficients_of_the_coordinators_own_choice_are_declined(
    four: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = terms()
    project = await agreed(four, plan)
    honest = RunSum.__call__
    asked: list[str] = []

    async def forging(self: RunSum, query: BoundQuery) -> Sum:
        asked.append(query.statistic.name)
        if asked.count("glm-score") == 2:
            moved: dict[str, Any] = {**query.query.params, "coefficients": [40.0, -0.7]}
            query = bind(query.query.model_copy(update={"params": moved}))
        return await honest(self, query)

    monkeypatch.setattr(RunSum, "__call__", forging)
    async with four.session() as session:
        with pytest.raises(NotEnoughParticipantsError, match=DECLINED):
            await done(session, project, specs(plan)["model"])
    assert [len(site.uploads) for site in four.sites] == [len(asked) - 1] * 4


async def test_a_task_is_begun_as_often_as_the_plan_says(four: Cohort) -> None:
    plan = terms(curve=1)
    project = await agreed(four, plan)
    curve = specs(plan)["curve"]
    async with four.session() as session:
        await done(session, project, curve)
        with pytest.raises(NotEnoughParticipantsError, match=r"its task has no releases left"):
            await done(session, project, curve)
