"""Runs that their coordinator leaves open: the relay ends them soon after their deadline, and no others."""

import asyncio
import time
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from relay.client.transport import RelayError
from relay.server.jobs.deadlines import EVERY_S, GRACE_S
from relay.server.store import audit, schema
from tests.support.relay_scene import Scene

LATE_S = 60  # a run is in a final state so long after its deadline at the latest


def overdue(relay, run) -> None:
    """Let the deadline of a run be so long ago that its coordinator should have ended it."""
    past = time.time() - GRACE_S - 1
    relay.transact(lambda db: db.execute(update(schema.run).where(schema.run.c.id == run).values(deadline=past)))


async def test_a_run_over_its_deadline_is_ended_by_name_and_others_go_on(start_relay):
    """A relay looks as soon as it starts, and then again and again."""
    assert EVERY_S + GRACE_S < LATE_S
    with start_relay() as relay:
        await _a_run_over_its_deadline_is_ended(await Scene.on(relay))


async def _a_run_over_its_deadline_is_ended(scene):
    async with scene.client(scene.coordinator) as lead:
        soon = time.time() + 3600
        later, never, over = [
            await lead.create_run(scene.project, uuid4(), "run", deadline=at) for at in (soon, None, soon)
        ]
        for one in (over, later):
            await lead.change_run(one.id, "created", "preparing")
            await lead.change_run(one.id, "preparing", "running")
        held = await lead.lease_run(over.id, "gone", 600)
        overdue(scene.relay, over.id)
        await asyncio.to_thread(scene.relay.restart)
        async with asyncio.timeout(LATE_S):
            while (ended := await lead.run(over.id)).state == "running":  # noqa: ASYNC110  # it is another process's
                await asyncio.sleep(0.02)
        assert (ended.state, ended.reason) == ("failed", "deadline")
        assert [(await lead.run(one.id)).state for one in (later, never)] == ["running", "created"]
        with pytest.raises(RelayError, match="conflict"):
            await lead.change_run(over.id, "running", "completed", lease=held.token)
    actions = scene.relay.transact(
        lambda db: db.execute(
            select(schema.audit.c.action, schema.audit.c.actor).where(schema.audit.c.object == f"run/{over.id}")
        ).all()
    )
    assert ("run.changed", audit.OPERATOR) in actions


async def test_a_deadline_is_part_of_what_a_run_is(scene):
    async with scene.client(scene.coordinator) as lead:
        run, at = uuid4(), time.time() + 100.5
        made = await lead.create_run(scene.project, run, "run", deadline=at)
        assert made.deadline == at
        assert await lead.create_run(scene.project, run, "run", deadline=at) == made
        with pytest.raises(RelayError, match="conflict"):
            await lead.create_run(scene.project, run, "run", deadline=at + 1)
