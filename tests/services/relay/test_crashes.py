"""SIGKILL at labelled points and at random moments: every acknowledged write is stored, once and complete.

Unacknowledged writes can be repeated. Runs on both databases; in the environment, `KILLS` sets the number of random
kills (`make crash`), and `SEED` their moments.
"""

import asyncio
import os
import resource
import secrets
import time
from hashlib import sha256
from pathlib import Path
from random import Random  # noqa: TID251  # moments to kill at, and no secrets

import pytest

from relay.api.wire import CHUNK_BYTES
from relay.client.errors import RelayUnavailableError
from relay.client.transport import RelayClient
from relay.server.store import audit
from tests.support.relay_process import RelayProcess, prepare
from tests.support.relay_scene import Scene

POINTS = ["relay.before-commit", "relay.after-commit", "relay.before-answer"]
BLOB_POINTS = ["relay.blob-before-fsync", "relay.blob-after-fsync"]
OBJECT_POINTS = ["relay.object-before-put", "relay.object-after-put"]
"""Passed in `test_storage`: they need an object store."""

KILLS = int(os.environ.get("KILLS", "4"))


@pytest.fixture
async def killed(new_database, tmp_path):
    """Starts a relay with a project on it that dies where the environment says; returns both."""
    relay = RelayProcess(tmp_path / "data", database=new_database())
    prepare(relay.config)
    scene = await Scene.on(relay)

    def start(point: str = "") -> tuple[RelayProcess, Scene]:
        relay.restart(environment={"SECAGG_CRASH_AT": point} if point else {})
        return relay, scene

    yield start
    relay.kill()


async def revive(relay: RelayProcess) -> None:
    """Start the relay again each time that it died."""
    while True:
        if not relay.alive():
            await asyncio.to_thread(relay.restart, environment={})
        await asyncio.sleep(0.02)


async def post_all(client: RelayClient, scene: Scene, numbers) -> dict[int, int]:
    """Post a message for each number; returns the IDs that the relay acknowledged."""
    to = scene.coordinator.public
    return {
        number: await client.post_message(scene.run, to, scene.frame(scene.first, round_=number)) for number in numbers
    }


async def received(scene: Scene) -> list:
    """All messages to the coordinator, page by page."""
    found: list = []
    async with scene.client(scene.coordinator) as lead:
        while page := await lead.messages(found[-1].id if found else 0):
            found += page
    return found


async def check(scene: Scene, acknowledged: dict[int, int]) -> None:
    """Every message is there once, under the ID that was acknowledged, and nothing else; the audit chain is whole."""
    messages = await received(scene)
    frames = {message.id: message.frame for message in messages}
    assert frames == {number: scene.frame(scene.first, round_=round_) for round_, number in acknowledged.items()}
    assert [message.id for message in messages] == sorted(frames)
    scene.relay.transact(audit.verify)


@pytest.mark.parametrize("point", POINTS)
async def test_killed_while_it_takes_messages(killed, point):
    relay, scene = killed(f"{point}:2")
    guard = asyncio.create_task(revive(relay))
    async with scene.client(scene.first, give_up_after_s=60) as client:
        acknowledged = await post_all(client, scene, range(4))
    guard.cancel()
    assert relay.log.count('"event": "ready"') == 2, "it did not die"
    await check(scene, acknowledged)


@pytest.mark.parametrize("point", [*BLOB_POINTS, *POINTS])
async def test_killed_while_it_takes_a_payload(killed, point):
    payload = os.urandom(2 * CHUNK_BYTES + 1000)
    relay, scene = killed(f"{point}:2")
    guard = asyncio.create_task(revive(relay))
    to = scene.coordinator.public
    async with scene.client(scene.first, give_up_after_s=60) as client:
        digest = sha256(payload).digest()
        blob = await client.upload(scene.run, payload, size=len(payload), digest=digest, to=to)
        number = await client.post_message(scene.run, to, scene.frame(scene.first), blob)
    guard.cancel()
    assert relay.log.count('"event": "ready"') == 2, "it did not die"
    async with scene.client(scene.coordinator) as lead:
        (message,) = await lead.messages()
        assert (message.id, message.payload.id) == (number, blob)
        assert b"".join([piece async for piece in lead.download(blob)]) == payload


async def test_killed_at_random_while_many_write(killed):
    """Kills 50 to 400 ms after the relay was ready, under messages and payloads from several writers."""
    seed = int(os.environ.get("SEED", secrets.randbits(32)))
    print(f"SEED={seed}")  # pytest shows it where the test fails
    dice = Random(seed)
    payload = os.urandom(CHUNK_BYTES + 50_000)
    stopped = asyncio.Event()
    relay, scene = killed()
    slowest = 0.0

    async def kill() -> None:
        nonlocal slowest
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.05, 0.4))
            relay.kill()
            began = time.monotonic()
            await asyncio.to_thread(relay.restart)
            slowest = max(slowest, time.monotonic() - began)
        stopped.set()

    async def write(first: int) -> dict[int, int]:
        acknowledged: dict[int, int] = {}
        async with scene.client(scene.first, give_up_after_s=3600) as client:
            while not stopped.is_set():
                acknowledged |= await post_all(client, scene, [first + len(acknowledged)])
        return acknowledged

    async def upload() -> list[str]:
        blobs = []
        async with scene.client(scene.first, give_up_after_s=3600) as client:
            while not stopped.is_set():
                mine = payload + len(blobs).to_bytes(4, "big")
                digest, to = sha256(mine).digest(), scene.coordinator.public
                blobs.append(await client.upload(scene.run, mine, size=len(mine), digest=digest, to=to))
        return blobs

    _, *written, blobs = await asyncio.gather(kill(), write(0), write(100_000), upload())
    await check(scene, {round_: number for part in written for round_, number in part.items()})
    async with scene.client(scene.coordinator) as lead:
        for number, blob in enumerate(blobs):
            got = b"".join([piece async for piece in lead.download(blob)])
            assert got == payload + number.to_bytes(4, "big")
    messages = sum(map(len, written))
    print(f"{KILLS} kills, {messages} messages, {len(blobs)} payloads, slowest restart {slowest:.1f} s")


def test_crash_points_are_where_the_tests_look_for_them():
    """Every labelled point of the relay is in this file's lists."""
    source = "".join(path.read_text() for path in Path("relay/server").rglob("*.py"))
    labels = {part.split('"')[0] for part in source.split('crashpoint("')[1:]} - {"name"}
    assert labels == {*POINTS, *BLOB_POINTS, *OBJECT_POINTS}


async def write_until(stopped: asyncio.Event, scene: Scene, first: int) -> dict[int, int]:
    acknowledged: dict[int, int] = {}
    async with scene.client(scene.first, give_up_after_s=60) as client:
        while not stopped.is_set():
            acknowledged |= await post_all(client, scene, [first + len(acknowledged)])
    return acknowledged


async def test_postgresql_breaks_all_connections_under_load(postgres, tmp_path):
    """As when it restarts: some of the commits are in doubt, and none is lost or doubled."""
    stopped = asyncio.Event()
    with RelayProcess.start(tmp_path / "data", database=postgres.new()) as relay:
        scene = await Scene.on(relay)
        name = relay.config.database_url.database
        writing = [asyncio.create_task(write_until(stopped, scene, first)) for first in (0, 1000, 2000)]
        for _ in range(8):
            await asyncio.sleep(0.2)
            query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            await asyncio.to_thread(postgres.execute, query)
        stopped.set()
        acknowledged = {round_: number for part in await asyncio.gather(*writing) for round_, number in part.items()}
        assert len(acknowledged) >= 3
        await check(scene, acknowledged)


async def test_a_disk_that_takes_no_more_is_said_and_ends_by_itself(tmp_path):
    """No file may grow: what is refused is not there, what was acknowledged is, and then it goes on."""
    with RelayProcess.start(tmp_path / "data") as relay:
        scene = await Scene.on(relay)
        to, payload = scene.coordinator.public, os.urandom(CHUNK_BYTES)
        async with scene.client(scene.first, give_up_after_s=0.5) as client:
            acknowledged = await post_all(client, scene, range(3))
            largest = max(path.stat().st_size for path in relay.data.glob("relay.sqlite*"))
            resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
            refused = set()
            for number in range(3, 60):
                try:
                    acknowledged |= await post_all(client, scene, [number])
                except RelayUnavailableError as error:
                    refused.add(str(error))
                    break
            assert any("503" in reason or "507" in reason for reason in refused), refused
            digest = sha256(payload).digest()
            with pytest.raises(RelayUnavailableError, match=r"50[37]"):
                await client.upload(scene.run, payload, size=len(payload), digest=digest, to=to)
            resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            acknowledged |= await post_all(client, scene, [100])
            await client.upload(scene.run, payload, size=len(payload), digest=digest, to=to)
        await check(scene, acknowledged)
