"""A run that waits for officers says so within seconds, blames nobody who only waits, and goes on once they decide."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from coordinator.commands.cli import app
from coordinator.journal.standings import SiteStanding, SiteStandings
from coordinator.projects.projects import sealed
from coordinator.runs.errors import RunCancelledError
from coordinator.runs.lifecycle import RunOutcome, carry_out, stop
from coordinator.session.progress import Event, nowhere
from coordinator.session.session import Session
from participant.records import decisions, standing
from participant.records.ledger import TABLES
from relay.party.journal import Journal
from secagg.errors import NotEnoughParticipantsError
from tests.support.cohort import POLICY, Cohort, CohortSite
from tests.support.site_process import until

CAUTIOUS = POLICY.model_copy(update={"loss_rule": "pause", "minimum_site_difference": None})


@pytest.fixture
async def notices(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Any]]:
    """What the sites' officers are sent by webhook."""
    got: list[Any] = []

    async def keep(request: web.Request) -> web.Response:
        got.append(await request.json())
        return web.Response()

    served = web.Application()
    served.router.add_post("/", keep)
    async with TestServer(served) as server:
        monkeypatch.setenv("SECAGG_PARTICIPANT_NOTIFY_WEBHOOK", str(server.make_url("/")))
        yield got


@pytest.fixture
async def cautious(four: Cohort, notices: list[Any]) -> Cohort:
    """Four sites that ask an officer before they sign a set of sites near an earlier one."""
    del notices  # the sites read where to send them when they are woken
    await with_policy(four, CAUTIOUS)
    return four


async def with_policy(there: Cohort, policy: Any) -> None:
    await there.sleep(*there.sites)
    for site in there.sites:
        site.policy = policy
    there.wake()


def decide(site: CohortSite, run: UUID, *, approved: bool = True) -> None:
    with closing(Journal(site.folder, TABLES)) as journal:
        decisions.decide(journal, run, approved=approved, whole=False)


def standings(session: Session, run: UUID) -> list[SiteStanding]:
    return SiteStandings(session.journal.connection, run).all()


async def done(session: Session, run: UUID, show: Callable[[Event], None] = nowhere) -> RunOutcome:
    return await carry_out(run, await sealed(session.relay, session.records.get(run).project), session, show)


def told(there: Cohort, *words: str) -> Any:
    return CliRunner().invoke(app, [*words, "--data", str(there.folder / "office")], catch_exceptions=False)


async def test_with_a_site_down_the_run_says_within_seconds_who_decides_and_then_goes_on(
    cautious: Cohort, notices: list[Any], record_property: Any
) -> None:
    there = cautious
    project = await there.project(loss_rule="pause")
    gone, *others = there.sites
    async with there.session(grace_s=0.5) as session:
        there.assert_pooled(await done(session, await there.begin(session, project)))
        await there.sleep(gone)
        run = await there.begin(session, project)
        events: dict[str, float] = {}

        def show(event: Event) -> None:
            name = f"{event.what} {event.step or event.site}"
            events.setdefault(name, time.monotonic())

        working = asyncio.create_task(done(session, run, show))
        await until(lambda: sum(one.how == "waiting" for one in standings(session, run)) == 3)
        asked = events["step Consistency"]
        took = max(events[f"waiting {site.name}"] for site in others) - asked
        record_property("seconds_until_the_coordinator_knows", round(took, 1))
        await until(lambda: len(notices) == 3)
        assert {one["waits"][0]["run"] for one in notices} == {str(run)}
        assert took < 5
        assert session.records.get(run).shown == "waiting"
        why = "differ from those of an earlier sum of the dataset by 1 site, at least 3 are required"
        for one in standings(session, run)[1:]:
            assert one.reason == f"minimum_site_difference: an officer must decide: its sites {why}"
            assert time.time() < one.until <= session.records.get(run).deadline
        assert (await session.relay.run(run)).state.value == "running"
        shown = json.loads(told(there, "status", str(run), "--json").stdout)
        assert shown["state"] == "waiting"
        assert [one["how"] for one in shown["sites"]] == ["lost", "waiting", "waiting", "waiting"]
        words = told(there, "status", str(run)).stdout
        assert "site 01              lost: sent no Join in time" in words
        assert "site 02              waiting in round 1: minimum_site_difference" in words
        assert "waiting" in told(there, "runs").stdout
        for site in others:
            decide(site, run)
        there.assert_pooled(await working, others)
        assert {one.site: one.how for one in standings(session, run)} == {
            gone.name: "lost",
            **{site.name: "taking-part" for site in others},
        }
        assert session.records.get(run).shown == "completed"


async def test_under_standing_approvals_a_run_without_a_site_completes_with_nobody_asked(cautious: Cohort) -> None:
    there = cautious
    project = await there.project(loss_rule="pause")
    gone, *others = there.sites
    for site in others:
        with closing(Journal(site.folder, TABLES)) as journal:
            standing.grant(journal, "lung", gone.identity.public, times=1, days=30)
    async with there.session(grace_s=0.5) as session:
        there.assert_pooled(await done(session, await there.begin(session, project)))
        await there.sleep(gone)
        run = await there.begin(session, project)
        events: list[str] = []
        there.assert_pooled(await done(session, run, lambda event: events.append(event.what)), others)
        assert "waiting" not in events
        again = await there.begin(session, project)  # the approvals are used up, and the signed set permits nothing
        working = asyncio.create_task(done(session, again))
        await until(lambda: sum(one.how == "waiting" for one in standings(session, again)) == 3)
        for site in others:
            decide(site, again)
        there.assert_pooled(await working, others)


async def test_a_refusal_ends_the_wait_and_the_error_names_who_refused_and_not_who_waits(cautious: Cohort) -> None:
    there = cautious
    project = await there.project(loss_rule="pause")
    gone, first, *_ = there.sites
    async with there.session(grace_s=0.5) as session:
        await done(session, await there.begin(session, project))
        await there.sleep(gone)
        run = await there.begin(session, project)
        working = asyncio.create_task(done(session, run))
        await until(lambda: sum(one.how == "waiting" for one in standings(session, run)) == 3)
        decide(first, run, approved=False)
        with pytest.raises(NotEnoughParticipantsError) as failed:
            await working
        assert [one.how for one in standings(session, run)] == ["lost", "refused", "undecided", "undecided"]
    said = str(failed.value)
    assert "0 sites signed the survivors; 3 are needed" in said
    assert "site 01 sent no Join in time" in said
    assert "site 02 refused: an officer of this site denied the request" in said
    assert "site 03, site 04 must wait: minimum_site_difference" in said
    assert "fewer than" not in said


async def test_who_declined_is_named_with_the_reason(four: Cohort) -> None:
    spent = POLICY.model_copy(update={"budget": POLICY.budget.model_copy(update={"releases": 1})})
    await four.sleep(*four.sites[:2])
    for site in four.sites[:2]:
        site.policy = spent
    four.wake()
    project = await four.project()
    async with four.session() as session:
        await done(session, await four.begin(session, project))
        run = await four.begin(session, project)
        with pytest.raises(
            NotEnoughParticipantsError, match=r"2 sites uploaded.*; site 01, site 02 declined: budget: "
        ):
            await done(session, run)
        assert [one.how for one in standings(session, run)] == ["declined", "declined", "taking-part", "taking-part"]


async def test_a_site_whose_officer_approves_first_is_waited_for_beyond_the_step(four: Cohort) -> None:
    """Three of four answer at once; a lost fourth would cost every other officer a decision."""
    slow = four.sites[0]
    await four.sleep(slow)
    slow.policy = POLICY.model_copy(update={"approve_first": True})
    four.wake()
    project = await four.project()
    async with four.session(step_s=4.0, grace_s=3.5) as session:
        run = await four.begin(session, project)
        started: list[float] = []
        working = asyncio.create_task(
            done(session, run, lambda event: started.append(time.monotonic()) if event.step == "Upload" else None)
        )
        await until(lambda: session.records.get(run).shown == "waiting")
        await until(lambda: time.monotonic() > started[0] + 4.5)
        decide(slow, run)
        four.assert_pooled(await working)


async def test_a_run_that_waits_can_be_cancelled(four: Cohort) -> None:
    await with_policy(four, POLICY.model_copy(update={"approve_first": True}))
    project = await four.project()
    async with four.session() as session:
        run = await four.begin(session, project)
        working: Awaitable[RunOutcome] = asyncio.create_task(done(session, run))
        await until(lambda: session.records.get(run).shown == "waiting")
        await stop(session, run, "cancel")
        with pytest.raises(RunCancelledError):
            await working
        assert session.records.get(run).shown == "cancelled"
