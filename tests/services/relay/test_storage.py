"""Payloads in an object store, when each is removed, and what happens when the disk fails."""

import asyncio
import errno
import os
import signal
import time
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import obstore
import pytest
from aiohttp.test_utils import TestClient, TestServer
from obstore.store import from_url
from sqlalchemy import func, select, update

from relay.api.states import RunState
from relay.api.wire import CHUNK_BYTES
from relay.server.app import RELAY, create_app
from relay.server.core.config import RelayConfig
from relay.server.core.storage_errors import DatabaseUnavailableError
from relay.server.jobs.housekeeping import Housekeeping
from relay.server.payloads.digests import RunningDigests
from relay.server.payloads.folder import BlobFolder
from relay.server.payloads.payload_store import StorageError
from relay.server.store import leases, payloads, schema
from tests.services.relay.test_payloads import ByHand
from tests.support.object_store import ObjectStore, export
from tests.support.relay_process import RelayProcess, prepare
from tests.support.relay_requests import send
from tests.support.relay_scene import Scene


@pytest.fixture(scope="module")
def endpoint():
    with ObjectStore.start() as store:
        yield store


@pytest.fixture
def bucket(endpoint, monkeypatch):
    export(endpoint.environment, monkeypatch)
    return endpoint.bucket()


@pytest.fixture
def relay_on_objects(endpoint, bucket, start_relay):
    with start_relay(environment=endpoint.environment | {"SECAGG_RELAY_OBJECTS": bucket}) as relay:
        yield relay


def names(bucket: str) -> list[str]:
    return sorted(
        one["path"] for page in obstore.list(from_url(bucket, client_options={"allow_http": True})) for one in page
    )


async def test_pieces_are_objects_and_ranges_go_across_them(relay_on_objects, bucket):
    scene = await Scene.on(relay_on_objects)
    hand, lead = ByHand(scene), ByHand(scene, scene.coordinator)
    data = os.urandom(1000)
    blob = (await hand.announce(data)).json["id"]
    assert (await hand.put(blob, 0, data[:400])).json == {"received": 400}
    assert (await hand.put(blob, 400, data[400:700])).json == {"received": 700}
    assert (await hand.put(blob, 400, data[400:])).problem == "conflict"
    assert (await lead.get(blob)).problem == "conflict"
    await asyncio.to_thread(relay_on_objects.restart)  # another process: the digest has to be read back
    assert (await hand.announce(data)).json == {"id": blob, "received": 700}
    assert (await hand.put(blob, 700, data[700:])).json == {"received": 1000}
    assert (await lead.get(blob)).body == data
    for start, stop in ((0, 1), (399, 401), (100, 900), (700, 1000)):
        answer = await lead.get(blob, f"bytes={start}-{stop - 1}")
        assert (answer.status, answer.body) == (206, data[start:stop])
    assert [name.split("-")[0] for name in names(bucket)] == [f"{UUID(blob).hex}/{at:016x}" for at in (0, 400, 700)]
    assert not (relay_on_objects.data / "blobs").exists()


@pytest.mark.parametrize("point", ["relay.object-before-put", "relay.object-after-put"])
async def test_killed_while_it_stores_an_object(relay_on_objects, endpoint, bucket, point):
    relay, data = relay_on_objects, os.urandom(100)
    scene = await Scene.on(relay)
    hand = ByHand(scene)
    blob = (await hand.announce(data)).json["id"]
    assert (await hand.put(blob, 0, data[:40])).status == 200
    dying = endpoint.environment | {"SECAGG_RELAY_OBJECTS": bucket, "SECAGG_CRASH_AT": point}
    await asyncio.to_thread(relay.restart, environment=dying)
    with pytest.raises(aiohttp.ClientError):
        await hand.put(blob, 40, data[40:])
    assert relay.wait() == -signal.SIGKILL
    await asyncio.to_thread(relay.restart)
    assert (await hand.announce(data)).json == {"id": blob, "received": 40}
    assert (await hand.put(blob, 40, data[40:])).json == {"received": 100}
    assert (await hand.get(blob)).body == data


async def test_a_wrong_digest_removes_the_objects(relay_on_objects, bucket):
    scene = await Scene.on(relay_on_objects)
    hand, data = ByHand(scene), os.urandom(50)
    blob = (await hand.announce(data)).json["id"]
    await hand.put(blob, 0, data[:20])
    assert (await hand.put(blob, 20, os.urandom(30))).problem == "bad-digest"
    assert (await hand.get(blob)).problem == "not-found"
    assert names(bucket) == []
    anew = (await hand.announce(data)).json
    assert (await hand.put(anew["id"], 0, data)).status == 200


async def test_two_replicas_write_one_place_at_once_and_one_piece_counts(relay_on_objects, endpoint, bucket):
    environment = endpoint.environment | {"SECAGG_RELAY_OBJECTS": bucket}
    other = {"environment": environment, "database": relay_on_objects.database}
    with RelayProcess.start(relay_on_objects.data, **other) as second:
        scene = await Scene.on(relay_on_objects)
        hands = [ByHand(scene), ByHand(Scene(second, scene.coordinator, scene.first, run=scene.run))]
        data = os.urandom(300_000)
        blob = (await hands[0].announce(data)).json["id"]
        sent = [hands[turn % 2].put(blob, 0, data[: 100_000 + turn]) for turn in range(6)]
        answers = await asyncio.gather(*sent)
        (counted,) = [answer.json["received"] for answer in answers if answer.status == 200]
        assert (await hands[1].put(blob, counted, data[counted:])).status == 200
        assert (await hands[0].get(blob)).body == data


async def test_an_endpoint_that_fails_is_503_and_nothing_is_lost(endpoint, bucket, start_relay):
    """The relay speaks to an endpoint that is not there, and then to one that is."""
    with start_relay(environment=endpoint.environment | {"SECAGG_RELAY_OBJECTS": bucket}) as relay:
        scene = await Scene.on(relay)
        hand, data = ByHand(scene), os.urandom(100)
        blob = (await hand.announce(data)).json["id"]
        assert (await hand.put(blob, 0, data[:40])).status == 200
        gone = {"AWS_ENDPOINT": "http://127.0.0.1:9", "SECAGG_RELAY_OBJECTS": bucket}
        await asyncio.to_thread(relay.restart, environment=endpoint.environment | gone)
        answer = await hand.put(blob, 40, data[40:])
        assert (answer.status, answer.problem) == (503, "unavailable")
        await asyncio.to_thread(relay.restart)
        assert (await hand.put(blob, 40, data[40:])).json == {"received": 100}
        assert (await hand.get(blob)).body == data


def peak_bytes(relay: RelayProcess) -> int:
    status = Path(f"/proc/{relay.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.mark.parametrize("where", ["folder", "objects"])
async def test_memory_does_not_grow_with_the_payload(tmp_path, endpoint, bucket, where):
    environment = endpoint.environment | ({"SECAGG_RELAY_OBJECTS": bucket} if where == "objects" else {})
    with RelayProcess.start(tmp_path / "data", environment=environment) as relay:
        scene = await Scene.on(relay)
        to = scene.coordinator.public

        async def pass_on(size: int) -> int:
            """Send a payload and fetch it; returns the relay's highest resident size so far, in bytes."""
            data = os.urandom(CHUNK_BYTES) * (size // CHUNK_BYTES)
            async with scene.client(scene.first) as first, scene.client(scene.coordinator) as lead:
                blob = await first.upload(scene.run, data, size=size, digest=sha256(data).digest(), to=to)
                fetched = sha256()
                async for piece in lead.download(blob):
                    fetched.update(piece)
            assert fetched.digest() == sha256(data).digest()
            return peak_bytes(relay)

        small = await pass_on(3 * CHUNK_BYTES)
        assert await pass_on(15 * CHUNK_BYTES) - small < 6 * CHUNK_BYTES


@pytest.fixture(params=["folder", "objects"])
def kept(request, new_database, tmp_path):
    """A relay in this process, with a scene, whose housekeeping the test does."""
    environment = {}
    if request.param == "objects":
        environment["objects"] = request.getfixturevalue("bucket")
    config = RelayConfig(data=tmp_path / "data", database=new_database(), **environment)
    prepare(config)
    return config


async def put_payload(relay, scene, data: bytes, *, complete: bool = True) -> UUID:
    """A payload of the scene's first site, by the store's own functions."""
    digest = sha256(data).digest()
    hash_ = payloads.announcement(scene.run, scene.first.public, None, len(data), digest)
    blob = await relay.database.write(
        lambda db: payloads.add(
            db, run=scene.run, sender=scene.first.public, recipient=None, size=len(data), digest=digest,
            announcement_=hash_, now=time.time(),
        )
    )  # fmt: skip
    async with relay.blobs.writing(blob) as writer:
        piece = await writer.write(0, data)

    def note(db) -> None:
        if piece is not None:
            payloads.add_piece(db, blob, piece)
        payloads.advance(db, blob, from_=0, to=len(data), complete=complete)

    await relay.database.write(note)
    return blob


async def stored(relay) -> set[UUID]:
    return {one.blob async for one in relay.blobs.stored()}


def age(db, table, column: str, key) -> None:
    db.execute(update(table).where(table.c.id == key).values({column: 1.0}))


async def test_a_run_that_ended_long_ago_is_purged_and_others_stay(kept):
    relay = create_app(kept)[RELAY]
    scene = await Scene.on(RelayProcess(kept.data, database=kept.database and kept.database.get_secret_value()))
    other = await scene.make_run(uuid4())
    old = await put_payload(relay, scene, b"old")
    ended, scene.run = scene.run, other
    new = await put_payload(relay, scene, b"new")
    house = Housekeeping(relay)
    await house()
    assert await stored(relay) == {old, new}

    def end(db) -> None:
        db.execute(update(schema.run).where(schema.run.c.id == ended).values(state=RunState.COMPLETED, updated=1.0))

    await relay.database.write(end)
    await house()
    assert await stored(relay) == {new}
    left = await relay.database.read(lambda db: set(db.scalars(select(schema.blob.c.id))))
    purged = await relay.database.read(lambda db: db.scalars(select(schema.run.c.purged).order_by("purged")).all())
    assert left == {new}
    assert sum(one is not None for one in purged) == 1
    await relay.database.close()


async def test_uploads_that_never_end_and_orphans_are_removed(kept, monkeypatch):
    relay = create_app(kept)[RELAY]
    scene = await Scene.on(RelayProcess(kept.data, database=kept.database and kept.database.get_secret_value()))
    unfinished = await put_payload(relay, scene, b"half", complete=False)
    finished = await put_payload(relay, scene, b"whole")
    house = Housekeeping(relay)
    for blob in (unfinished, finished):
        await relay.database.write(lambda db, blob=blob: age(db, schema.blob, "created", blob))
    async with relay.blobs.writing(uuid4()) as writer:  # a crash between the store and the database
        await writer.write(0, b"orphan")
    await house()
    assert finished in await stored(relay)
    assert unfinished not in await stored(relay)
    assert len(await stored(relay)) == 2, "what was stored a moment ago may be about to be counted"
    monkeypatch.setattr("relay.server.jobs.housekeeping._ORPHAN_S", -5.0)
    await Housekeeping(relay)()  # not the holder of the lease
    assert len(await stored(relay)) == 2
    await house.stop()
    await Housekeeping(relay)()
    assert await stored(relay) == {finished}
    await relay.database.close()


async def test_a_replica_that_lost_the_lease_removes_nothing(kept, monkeypatch):
    relay = create_app(kept)[RELAY]
    house = Housekeeping(relay)
    await house()
    found = await relay.database.read(lambda db: db.execute(select(schema.lease)).one())

    async def slept(self, ttl_s):
        """Another took the lease while this replica's clock stood."""
        return leases.Lease(found.token - 1, time.time() + 60)

    monkeypatch.setattr(Housekeeping, "_take", slept)
    await relay.database.write(lambda db: db.execute(schema.nonce.insert().values(
        key=b"k" * 32, nonce="n", request=bytes(32), status=200, content_type="", answer=b"", created=1.0
    )))  # fmt: skip
    await house()
    assert await relay.database.read(lambda db: db.scalar(select(func.count()).select_from(schema.nonce))) == 1
    await relay.database.close()


async def test_after_a_failed_fsync_nothing_more_is_acknowledged(new_database, tmp_path, monkeypatch):
    """A second fsync would succeed and mean nothing: the system forgets the pages that it could not write."""
    config = RelayConfig(data=tmp_path / "data", database=new_database(), rate_per_address=1e6)
    prepare(config)
    process = RelayProcess(config.data, database=config.database and config.database.get_secret_value())
    scene = await Scene.on(process)
    data = os.urandom(90)
    app = create_app(config)
    faults = app[RELAY].metrics.faults.labels("input-output")  # what the alert DiskFails looks at
    async with TestClient(TestServer(app)) as client:
        process.port = client.port
        hand = ByHand(scene)
        blob = (await hand.announce(data)).json["id"]
        assert (await hand.put(blob, 0, data[:30])).status == 200
        assert (await send("GET", f"{process.url}/readyz")).status == 200

        def fail(handle):
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as broken:
            broken.setattr("relay.server.payloads.folder.os.fsync", fail)
            assert (await hand.put(blob, 30, data[30:60])).problem == "unavailable"
        assert faults._value.get() == 1
        answer = await hand.put(blob, 30, data[30:60])
        assert (answer.status, answer.problem) == (503, "unavailable")
        assert faults._value.get() == 2
        async with asyncio.timeout(30):  # what was found is kept for a second
            while (ready := await send("GET", f"{process.url}/readyz")).status == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert ready.json["detail"].startswith("the disk failed to store")
    async with TestClient(TestServer(create_app(config))) as client:  # the disk is in order again
        process.port = client.port
        assert (await hand.announce(data)).json == {"id": blob, "received": 30}
        assert (await hand.put(blob, 30, data[30:])).json == {"received": 90}
        assert (await hand.get(blob)).body == data


def test_running_digests_are_those_of_the_bytes_that_came_in_order():
    digests = RunningDigests()
    blob, data = uuid4(), os.urandom(100)
    assert digests.after(blob, 30, data[30:]) is None  # the beginning went to another replica
    digests.keep(blob, 30, digests.after(blob, 0, data[:30]))
    assert digests.after(blob, 40, data[40:]) is None
    digests.after(blob, 30, os.urandom(70))  # a piece that did not count
    whole = digests.after(blob, 30, data[30:])
    assert whole.digest() == sha256(data).digest()
    assert digests.after(blob, 0, data).digest() == sha256(data).digest()  # begun anew
    digests.keep(blob, 100, None)
    assert digests.after(blob, 30, data[30:]) is None


async def test_a_piece_that_was_not_counted_is_no_part_of_the_digest(kept, monkeypatch):
    """A replica's transaction fails, another replica takes other bytes in the same place: these are what is there."""
    process = RelayProcess(kept.data, database=kept.database and kept.database.get_secret_value())
    scene = await Scene.on(process)
    data, other = os.urandom(60), os.urandom(30)
    hand = ByHand(scene)

    def broken(*_args, **_others):
        raise DatabaseUnavailableError("the database is gone")

    async with (
        TestClient(TestServer(create_app(kept))) as first,
        TestClient(TestServer(create_app(kept))) as second,
    ):
        process.port = first.port
        blob = (await hand.announce(data)).json["id"]
        with monkeypatch.context() as failing:
            failing.setattr(payloads, "advance", broken)
            assert (await hand.put(blob, 0, data[:30])).problem == "unavailable"
        process.port = second.port
        assert (await hand.put(blob, 0, other)).json == {"received": 30}
        process.port = first.port
        assert (await hand.put(blob, 30, data[30:])).problem == "bad-digest"


@pytest.mark.parametrize("failing", [0, 1])
async def test_the_name_of_a_file_is_durable_before_its_first_bytes_count(tmp_path, monkeypatch, failing):
    """Whoever made the file may have been killed before its name was on the disk."""
    folder, blob = BlobFolder(tmp_path / "blobs"), uuid4()
    place = tmp_path / "blobs" / blob.hex[:2]
    place.mkdir(mode=0o700)
    (place / blob.hex).touch()
    synced, fsync = [], os.fsync

    def note(handle):
        synced.append(os.fstat(handle).st_ino)
        fsync(handle)

    with monkeypatch.context() as watched:
        watched.setattr("relay.server.payloads.folder.os.fsync", note)
        async with folder.writing(blob) as writer:
            await writer.write(0, b"first")
    assert {place.stat().st_ino, (tmp_path / "blobs").stat().st_ino} < set(synced)

    broken = (place, tmp_path / "blobs")[failing].stat().st_ino

    def fail(handle):
        if os.fstat(handle).st_ino == broken:
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as lost:
        lost.setattr("relay.server.payloads.folder.os.fsync", fail)
        async with folder.writing(blob) as writer:
            with pytest.raises(OSError, match="Input/output"):
                await writer.write(0, b"first")
    assert folder.failure.startswith("the disk failed to store")
    async with folder.writing(blob) as writer:
        with pytest.raises(StorageError):
            await writer.write(0, b"first")
