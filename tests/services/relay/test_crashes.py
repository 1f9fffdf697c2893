"""SIGKILL at labelled points and at random moments: what was acknowledged is there, once and whole.

What was not acknowledged can be said again. 23 kills here; `KILLS` in the environment makes the random ones more.
"""

import asyncio
import os
import shutil
from hashlib import sha256
from pathlib import Path
from random import Random  # noqa: TID251  # moments to kill at, and no secrets

import pytest

from relay.client.transport import RelayClient
from relay.store import audit
from relay.wire import CHUNK_BYTES
from tests.support.relay_process import RelayProcess
from tests.support.relay_scene import Scene

POINTS = ["relay.before-commit", "relay.after-commit", "relay.before-answer"]
BLOB_POINTS = ["relay.blob-before-fsync", "relay.blob-after-fsync"]

KILLS = int(os.environ.get("KILLS", "6"))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A data folder with a project, made once; the tests work on copies of it."""
    data = tmp_path_factory.mktemp("prepared") / "data"
    with RelayProcess.start(data) as relay:
        scene = asyncio.run(Scene.on(relay))
        assert relay.stop() == 0
    return data, scene


@pytest.fixture
def copied(prepared, tmp_path):
    data, scene = prepared
    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "data", scene


def on(relay: RelayProcess, scene: Scene) -> Scene:
    return Scene(relay, **{name: getattr(scene, name) for name in ("coordinator", "first", "second", "project", "run")})


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
@pytest.mark.parametrize("passage", [1, 3])
async def test_killed_while_it_takes_messages(copied, point, passage):
    data, scene = copied
    with RelayProcess.start(data, environment={"SECAGG_CRASH_AT": f"{point}:{passage}"}) as relay:
        scene = on(relay, scene)
        guard = asyncio.create_task(revive(relay))
        async with scene.client(scene.first, give_up_after_s=60) as client:
            acknowledged = await post_all(client, scene, range(4))
        guard.cancel()
        assert relay.log.count('"event": "ready"') == 2, "it did not die"
        await check(scene, acknowledged)


@pytest.mark.parametrize("point", [*BLOB_POINTS, *POINTS])
async def test_killed_while_it_takes_a_payload(copied, point):
    data, scene = copied
    payload = os.urandom(2 * CHUNK_BYTES + 1000)
    with RelayProcess.start(data, environment={"SECAGG_CRASH_AT": f"{point}:2"}) as relay:
        scene = on(relay, scene)
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


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_at_random_while_many_write(copied, seed):
    """Kills 50 to 400 ms after the relay was ready, under messages and payloads from several writers."""
    data, scene = copied
    dice = Random(seed)
    payload = os.urandom(CHUNK_BYTES + 50_000)
    stopped = asyncio.Event()
    with RelayProcess.start(data) as relay:
        scene = on(relay, scene)

        async def kill() -> None:
            for _ in range(KILLS):
                await asyncio.sleep(dice.uniform(0.05, 0.4))
                relay.kill()
                await asyncio.to_thread(relay.restart)
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


def test_crash_points_are_where_the_tests_look_for_them():
    """Every labelled point of the relay is in this file's lists."""
    source = "".join(path.read_text() for path in Path("relay").rglob("*.py") if "client" not in path.parts)
    labels = {part.split('"')[0] for part in source.split('crashpoint("')[1:]} - {"name"}
    assert labels == {*POINTS, *BLOB_POINTS}
