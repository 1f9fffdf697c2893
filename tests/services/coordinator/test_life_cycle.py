"""Runs from their order to a named end, in the journal and at the relay, whatever happens in between."""

import asyncio
import time
from dataclasses import replace
from uuid import UUID

import pytest

from coordinator.projects.projects import sealed, set_tasks, tasks_of
from coordinator.runs.errors import RunCancelledError, RunEndedError, RunOverdueError, RunPausedError, TakenOverError
from coordinator.runs.lifecycle import RunOutcome, carry_out, retry, stop, sweep
from coordinator.runs.standby import LEFT, Standby, taken_up
from coordinator.session.progress import Event, nowhere
from coordinator.session.session import Session
from relay.api.states import RunState
from relay.api.wire import RelayFacts
from relay.client.parcels import Parcels
from relay.client.transport import RelayError
from relay.party.journal import JournalError
from secagg.errors import NotEnoughParticipantsError
from secagg.receipts import read, verify_receipt
from tests.support.cohort import SPEC, Cohort
from tests.support.network import KAPLAN_MEIER

SECOND = {**KAPLAN_MEIER, "row_limit": 999}  # the same curve by another query


async def worked(session: Session, run: UUID, show=nowhere) -> RunOutcome:
    project = session.records.get(run).project
    return await carry_out(run, await sealed(session.relay, project), session, show)


async def ends(session: Session, run: UUID) -> tuple[RunState, str]:
    """State and reason of a run, which journal and relay agree on."""
    record, at_relay = session.records.get(run), await session.relay.run(run)
    assert (record.state, record.reason) == (at_relay.state, at_relay.reason)
    assert record.told
    return record.state, record.reason


def when(what: str, do) -> object:
    """Return what does something at the first event of a kind."""
    done = []

    def show(event: Event) -> None:
        if event.what == what and not done:
            done.append(event)
            do(event)

    return show


async def test_two_runs_at_a_time_pause_and_go_on_and_ask_nobody_twice(four: Cohort) -> None:
    project = await four.project()
    async with four.session() as session:
        first = await four.begin(session, project, KAPLAN_MEIER, SECOND)
        second = await four.begin(session, project)
        pausing = when("round-done", lambda _: session.records.request(first, "pause"))
        paused, done = await asyncio.gather(
            worked(session, first, pausing), worked(session, second), return_exceptions=True
        )
        assert isinstance(paused, RunPausedError), paused
        assert isinstance(done, RunOutcome), done
        four.assert_pooled(done)
        assert await ends(session, first) == (RunState.PAUSED, "")
        assert await ends(session, second) == (RunState.COMPLETED, "")
        report = await worked(session, first)
        four.assert_pooled(report)
        assert len(report.answers) == 2
        assert await ends(session, first) == (RunState.COMPLETED, "")
        with pytest.raises(RunEndedError, match="is completed"):
            await worked(session, first)
    four.assert_nobody_masked_twice()


async def test_a_run_is_cancelled_by_whoever_works_on_it_or_by_the_command(four: Cohort) -> None:
    project = await four.project()
    async with four.session() as session, four.session() as other:
        run = await four.begin(session, project)
        cancelling = asyncio.create_task(
            worked(session, run, when("step", lambda _: other.records.request(run, "cancel")))
        )
        with pytest.raises(RunCancelledError):
            await cancelling
        assert await ends(session, run) == (RunState.CANCELLED, "")
        left = await four.begin(session, project)
        with pytest.raises(RunPausedError):
            await worked(session, left, when("epoch-ready", lambda _: session.records.request(left, "pause")))
        await stop(other, left, "cancel")
        assert await ends(session, left) == (RunState.CANCELLED, "")
        unheard = await four.begin(session, project)
        await stop(session, unheard, "cancel")
        assert (session.records.get(unheard).state, session.records.get(unheard).told) == (RunState.CANCELLED, True)


async def test_a_run_that_the_relay_ended_in_a_round_gives_its_sites_a_receipt_that_holds(four: Cohort) -> None:
    project = await four.project()
    async with four.session() as session:
        run = await four.begin(session, project)
        going: list[asyncio.Task[None]] = []

        async def end() -> None:
            await four.sleep(*four.sites)
            await asyncio.sleep(1)  # the round is opened, and nobody answers
            lease = await session.relay.lease_run(run, session.holder, 3)
            await session.relay.change_run(run, RunState.RUNNING, RunState.FAILED, "by the relay", lease=lease.token)

        with pytest.raises(RunEndedError):
            await worked(session, run, when("epoch-ready", lambda _: going.append(asyncio.create_task(end()))))
        assert await ends(session, run) == (RunState.FAILED, "by the relay")
        for site in four.sites:
            async with four.settings().client(site.identity) as own:
                (parcel,) = await Parcels(own, site.identity, run, leads=False).receive(0)
            shown = verify_receipt(read(parcel.text))
            assert (shown.outcome, len(shown.rounds)) == ("failed: by the relay", 1)


async def test_a_site_that_stalls_costs_the_run_nothing_and_is_back_in_the_next(four: Cohort) -> None:
    project = await four.project()
    lost, *others = four.sites
    async with four.session(step_s=60.0, grace_s=1.0) as session:
        run = await four.begin(session, project, KAPLAN_MEIER, SECOND)
        going: list[asyncio.Task[None]] = []
        losing = when("epoch-ready", lambda _: going.append(asyncio.create_task(four.sleep(lost))))
        report = await worked(session, run, losing)
        four.assert_pooled(report, others)
        four.wake(lost)
        again = retry(session, await sealed(session.relay, project), run)
        four.assert_pooled(await worked(session, again))
        assert session.records.get(again).repeats == run


async def test_a_run_that_cannot_go_on_ends_by_name_and_by_its_deadline(four: Cohort) -> None:
    project = await four.project()
    async with four.session(step_s=1.0, grace_s=0.1) as session:
        await four.sleep(*four.sites[:2])
        run = await four.begin(session, project)
        with pytest.raises(NotEnoughParticipantsError):
            await worked(session, run)
        assert (await ends(session, run))[1].startswith("2 sites answered")
        with pytest.raises(NotEnoughParticipantsError, match="4 sites confirmed the roster, 5 are needed"):
            await four.begin(session, project, quorum=5)
    async with four.session() as session:
        began = time.time()
        run = await four.begin(session, project, within_s=2)
        with pytest.raises(RunOverdueError):
            await worked(session, run)
        assert time.time() < began + 2 + 60
        assert await ends(session, run) == (RunState.FAILED, "deadline")


async def test_a_run_that_a_restored_relay_does_not_know_fails_by_name(four: Cohort) -> None:
    project = await four.project()
    async with four.session() as session:
        run = await four.begin(session, project)

        def restore(_: Event) -> None:
            """Put the relay back to a backup from before the run, as far as the coordinator can see."""
            facts = session.relay.relay

            async def gone(*_: object, **__: object) -> None:
                raise RelayError("not-found", 404, "there is no such run")

            async def later() -> RelayFacts:
                return replace(await facts(), since=time.time())

            for name in ("run", "post_message", "lease_run", "change_run", "upload"):
                monkeypatch.setattr(session.relay, name, gone)
            monkeypatch.setattr(session.relay, "relay", later)

        with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(RunEndedError, match="relay-restored"):
            await worked(session, run, when("epoch-ready", restore))
        assert session.records.get(run).state is RunState.FAILED
        assert session.records.get(run).reason.startswith("relay-restored: ")


async def test_a_quorum_above_what_is_left_ends_the_run(four: Cohort) -> None:
    project = await four.project()
    await four.sleep(four.sites[0])
    async with four.session(step_s=4.0, grace_s=0.5) as session:
        run = await four.begin(session, project, quorum=4)
        with pytest.raises(NotEnoughParticipantsError):
            await worked(session, run)


async def test_a_relay_that_is_away_holds_a_run_up_and_no_longer_than_its_deadline(four: Cohort) -> None:
    project = await four.project()
    async with four.session() as session:
        run = await four.begin(session, project, KAPLAN_MEIER, SECOND)
        restarting: list[asyncio.Task[None]] = []

        def away(_event: Event) -> None:
            four.relay.kill()
            restarting.append(asyncio.create_task(later()))

        async def later() -> None:
            await asyncio.sleep(2)
            await asyncio.to_thread(four.relay.restart)

        four.assert_pooled(await worked(session, run, when("round-done", away)))
        assert await ends(session, run) == (RunState.COMPLETED, "")

        run = await four.begin(session, project, within_s=3)
        with pytest.raises(RunOverdueError):
            await asyncio.wait_for(worked(session, run, when("step", lambda _: four.relay.kill())), 3 + 60)
        assert (session.records.get(run).state, session.records.get(run).told) == (RunState.FAILED, False)
        await asyncio.to_thread(four.relay.restart)
        for _ in range(20):  # the lease of the process that ended it has to end
            await sweep(session)
            if session.records.get(run).told:
                break
            await asyncio.sleep(0.5)
        assert await ends(session, run) == (RunState.FAILED, "deadline")
    four.assert_nobody_masked_twice()


async def test_a_standby_takes_over_in_the_middle_and_the_first_one_can_do_nothing_any_more(four: Cohort) -> None:
    project = await four.project()
    async with four.session("first") as first, four.session("second") as second:
        run = await four.begin(first, project, KAPLAN_MEIER, SECOND)

        class Hang(BaseException):
            """The process stops here, with the round open and two vectors added."""

        heard = []

        def hang(event: Event) -> None:
            heard.append(event)
            if sum(one.what == "heard" and one.step == "Upload" for one in heard) == 2:
                raise Hang

        with pytest.raises(Hang):
            await worked(first, run, hang)
        with pytest.raises(RelayError, match="stale-lease"):
            await taken_up(second, run)
        stopped = asyncio.Event()
        watching = asyncio.create_task(Standby(second).watch(stopped))
        async with asyncio.timeout(40):
            while not any(one.run == run for one in second.records.all()):  # noqa: ASYNC110  # it is in the database
                await asyncio.sleep(0.05)
            with pytest.raises((TakenOverError, RunEndedError)):
                await worked(first, run)
            while not (second.records.get(run).told and second.records.get(run).is_over):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        stopped.set()
        await watching
        assert await ends(second, run) == (RunState.COMPLETED, "")
        await sweep(first)
        assert await ends(first, run) == (RunState.COMPLETED, "")
    four.assert_nobody_masked_twice()


async def test_a_run_that_was_left_without_a_checkpoint_is_ended_by_name(four: Cohort) -> None:
    project = await four.project()
    async with four.session("first", checkpoints=False) as first, four.session("second") as second:
        run = await four.begin(first, project)

        class Hang(BaseException):
            """The process stops here."""

        def hang(event: Event) -> None:
            if event.what == "epoch-ready":
                raise Hang

        with pytest.raises(Hang):
            await worked(first, run, hang)
        await first.relay.lease_run(run, first.holder, 0)
        assert not await taken_up(second, run)
        assert (await second.relay.run(run)).reason == LEFT
        with pytest.raises(RunEndedError):
            await worked(first, run)
        assert await ends(first, run) == (RunState.FAILED, LEFT)


async def test_two_processes_never_work_on_one_run(four: Cohort) -> None:
    project = await four.project()
    async with four.session() as session, four.session() as other:
        run = await four.begin(session, project)
        refused = []

        async def second() -> None:
            try:
                await worked(other, run)
            except JournalError as error:
                refused.append(str(error))

        trying: list[asyncio.Task[None]] = []
        four.assert_pooled(
            await worked(session, run, when("step", lambda _: trying.append(asyncio.create_task(second()))))
        )
        await asyncio.gather(*trying)
        assert refused
        assert "another process on this machine is working on run" in refused[0]


async def test_the_tasks_of_a_project_are_ordered_and_run_again_and_again(four: Cohort) -> None:
    project = await four.project()
    async with four.session() as session:
        await set_tasks(session.relay, project, (SPEC,))
        assert tasks_of(await session.relay.project(project)) == (SPEC,)
        for number in (1, 2):
            run = await four.begin(session, project, task=0)
            four.assert_pooled(await worked(session, run))
            found = await session.relay.run(run)
            assert (found.task, found.number) == (0, number)
