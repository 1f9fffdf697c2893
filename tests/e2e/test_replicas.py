"""Two replicas on one PostgreSQL behind a round-robin: clients see one relay, even when one of the two is killed."""

import asyncio
import os
from hashlib import sha256

from sqlalchemy import select

from relay.api.wire import CHUNK_BYTES
from relay.client.transport import RelayClient
from relay.server.store import schema
from tests.support.postgres import Postgres
from tests.support.relay_process import RelayProcess
from tests.support.relay_scene import Scene
from tests.support.round_robin import RoundRobin

MESSAGES = 20


async def read_all(client: RelayClient, number: int) -> list:
    found: list = []
    while len(found) < number:
        found += await client.messages(found[-1].id if found else 0, wait=20)
    return found


async def test_two_replicas_are_one_relay_and_one_of_them_may_die(tmp_path, testrun_uid):
    database = Postgres.shared(testrun_uid).new()
    data = tmp_path / "shared"
    with (
        RelayProcess.start(data, database=database) as one,
        RelayProcess.start(data, database=database) as two,
    ):
        scene = await Scene.on(one)
        to = scene.coordinator.public
        payload = os.urandom(2 * CHUNK_BYTES + 7)
        async with (
            RoundRobin.before(one.url, two.url) as proxy,
            RelayClient(proxy.url, scene.coordinator, give_up_after_s=60) as lead,
            RelayClient(proxy.url, scene.first, give_up_after_s=60) as first,
            RelayClient(proxy.url, scene.second, give_up_after_s=60) as second,
        ):
            reading = asyncio.create_task(read_all(lead, MESSAGES + 1))

            async def post(client: RelayClient, author, rounds) -> list[int]:
                return [
                    await client.post_message(scene.run, to, scene.frame(author, round_=number)) for number in rounds
                ]

            before = await asyncio.gather(
                post(first, scene.first, range(5)), post(second, scene.second, range(5))
            )  # each piece goes to another replica than the one before it
            blob = await first.upload(scene.run, payload, size=len(payload), digest=sha256(payload).digest(), to=to)
            assert min(proxy.served.values()) > 5
            holder = one.transact(lambda db: db.execute(select(schema.lease)).one())

            one.kill()
            after = await asyncio.gather(
                post(first, scene.first, range(5, 10)), post(second, scene.second, range(5, 10))
            )
            carried = await first.post_message(scene.run, to, scene.frame(scene.first, round_=99), blob)
            posted = sorted([*before[0], *before[1], *after[0], *after[1], carried])
            assert [message.id for message in await reading] == posted
            assert b"".join([piece async for piece in lead.download(blob)]) == payload

            # the lease of the dead one ends, and the other one keeps house
            await asyncio.to_thread(two.transact, lambda db: db.execute(schema.lease.update().values(until=1.0)))
            await asyncio.to_thread(two.restart)
            for _ in range(100):
                taken = two.transact(lambda db: db.execute(select(schema.lease)).one())
                if taken.holder != holder.holder:
                    break
                await asyncio.sleep(0.1)
            assert (taken.holder != holder.holder, taken.token) == (True, holder.token + 1)
