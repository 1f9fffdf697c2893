"""SIGKILL at labelled points and at random moments: what was acknowledged is there, once and whole.

What was not acknowledged can be said again. On both databases; `KILLS` in the environment makes the random kills more
(`make crash`), and `SEED` chooses their moments.
"""

import asyncio
import os
import secrets
import time
from hashlib import sha256
from pathlib import Path
from random import Random  # noqa: TID251  # moments to kill at, and no secrets

import pytest

from relay.client.transport import RelayClient
from relay.store import audit
from relay.wire import CHUNK_BYTES
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
        async with scene.client(scene.first, give_up_after_s=120) as client:
            while not stopped.is_set():
                acknowledged |= await post_all(client, scene, [first + len(acknowledged)])
        return acknowledged

    async def upload() -> list[str]:
        blobs = []
        async with scene.client(scene.first, give_up_after_s=120) as client:
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
    source = "".join(path.read_text() for path in Path("relay").rglob("*.py") if "client" not in path.parts)
    labels = {part.split('"')[0] for part in source.split('crashpoint("')[1:]} - {"name"}
    assert labels == {*POINTS, *BLOB_POINTS, *OBJECT_POINTS}
