"""Leases of runs through the interface, of jobs between replicas, and the notices that replicas send each other."""

import asyncio
import time
from uuid import uuid4

import pytest
from sqlalchemy import update

from relay.api.states import RunState
from relay.client.transport import RelayError
from relay.server.store import leases, schema
from relay.server.store.connect import connect
from relay.server.store.notices import Notices


async def refused(attempt) -> str:
    with pytest.raises(RelayError) as caught:
        await attempt
    return caught.value.type


def end(relay, name: str) -> None:
    """Let a lease end, as if its time were over."""
    relay.transact(lambda db: db.execute(update(schema.lease).where(schema.lease.c.name == name).values(until=1.0)))


async def test_a_standby_takes_over_and_the_first_is_refused(scene):
    async with scene.client(scene.coordinator) as lead:
        first = await lead.lease_run(scene.run, "first", 60)
        assert first.token == 1
        assert first.until > time.time()
        assert await refused(lead.lease_run(scene.run, "standby", 60)) == "stale-lease"
        renewed = await lead.lease_run(scene.run, "first", 600)
        assert (renewed.token, renewed.until > first.until) == (1, True)
        end(scene.relay, f"run/{scene.run}")
        second = await lead.lease_run(scene.run, "standby", 60)
        assert second.token == 2
        assert await refused(lead.change_run(scene.run, "running", "paused", lease=first.token)) == "stale-lease"
        assert await refused(lead.change_run(scene.run, "running", "paused")) == "stale-lease"
        assert (await lead.run(scene.run)).state == "running"
        paused = await lead.change_run(scene.run, "running", "paused", lease=second.token)
        assert paused.state == "paused"


async def test_who_lost_the_lease_writes_nothing_more_into_the_run(scene):
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as site:
        first = await lead.lease_run(scene.run, "first", 60)
        frame = scene.frame(scene.coordinator, round_=1)
        assert await refused(lead.post_message(scene.run, None, frame)) == "stale-lease"
        await lead.post_message(scene.run, None, frame, lease=first.token)
        end(scene.relay, f"run/{scene.run}")
        second = await lead.lease_run(scene.run, "standby", 60)
        late = scene.frame(scene.coordinator, round_=2)
        assert await refused(lead.post_message(scene.run, None, late, lease=first.token)) == "stale-lease"
        assert await refused(lead.post_message(scene.run, None, frame, lease=first.token)) == "stale-lease"  # repeated
        assert await refused(lead.post_message(scene.run, None, late)) == "stale-lease"
        await lead.post_message(scene.run, None, late, lease=second.token)
        await site.post_message(scene.run, scene.coordinator.public, scene.frame(scene.first))  # sites have no lease
        assert len(await site.messages()) == 2


async def test_a_run_that_nobody_holds_needs_no_lease(scene):
    async with scene.client(scene.coordinator) as lead:
        run = await scene.make_run(uuid4(), RunState.CREATED)
        await lead.change_run(run, "created", "preparing")
        lease = await lead.lease_run(run, "one", 60)
        await lead.lease_run(run, "one", 0)
        await lead.change_run(run, "preparing", "running")
        assert (await lead.lease_run(run, "one", 60)).token == lease.token + 1  # also for the same one


@pytest.mark.parametrize("change", [{"holder": ""}, {"holder": "a b"}, {"ttl_s": -1}, {"ttl_s": 601}, {"ttl_s": "1"}])
async def test_odd_leases(scene, change):
    from tests.support.relay_requests import Signature, send

    body = {"holder": "one", "ttl_s": 1} | change
    url = f"{scene.relay.url}/v1/runs/{scene.run}/lease"
    assert (await send("PUT", url, body, signature=Signature.of(scene.coordinator))).problem == "bad-request"


async def test_one_of_many_gets_a_job_and_keeps_it(relay):
    """Eight replicas ask at once, over connections of their own."""
    name = f"job-{uuid4()}"[:60]
    replicas = [connect(relay.config.database_url, wait_s=30) for _ in range(8)]

    async def ask(number: int) -> leases.Lease | None:
        return await replicas[number].write(
            lambda db: leases.take(db, name, holder=str(number), ttl_s=60), appends=True
        )

    taken = await asyncio.gather(*(ask(number) for number in range(8)))
    (winner,) = [number for number, lease in enumerate(taken) if lease is not None]
    assert taken[winner].token == 1
    again = await asyncio.gather(*(ask(number) for number in range(8)))
    assert [number for number, lease in enumerate(again) if lease is not None] == [winner]
    assert again[winner].token == 1
    end(relay, name)
    after = await asyncio.gather(*(ask(number) for number in range(8)))
    assert [lease.token for lease in after if lease is not None] == [2]
    assert not await replicas[0].write(lambda db: leases.is_current(db, name, 1))
    assert await replicas[0].write(lambda db: leases.is_current(db, name, 2))
    for replica in replicas:
        await replica.close()


async def test_notices_reach_the_other_replicas_and_survive_a_broken_connection(postgres):
    from sqlalchemy import make_url

    url = make_url(postgres.new())
    heard: asyncio.Queue[list[bytes]] = asyncio.Queue()
    mine: list[bytes] = []
    here = Notices(url, mine.extend, timeout_s=5)
    there = Notices(url, lambda sites: heard.put_nowait(list(sites)), timeout_s=5)
    running = [asyncio.create_task(one.run()) for one in (here, there)]
    many = {bytes([number % 256, number // 256]) * 16 for number in range(400)}

    async def tell_until_heard() -> set[bytes]:
        """Said before the other listens, a notice is lost, as it may be."""
        found: set[bytes] = set()
        while found < many:
            here.tell(many)
            try:
                found |= set(await asyncio.wait_for(heard.get(), 0.5))
            except TimeoutError:
                continue
        return found

    assert await tell_until_heard() == many
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.database}'")
    while not heard.empty():
        heard.get_nowait()
    assert await tell_until_heard() == many
    assert mine == []  # whoever told woke its own polls already
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
