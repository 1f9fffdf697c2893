"""Payloads by hand: pieces, offsets, digests, ranges."""

import asyncio
import os
from hashlib import sha256
from uuid import UUID

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.api.wire import CHUNK_BYTES, to_base64url
from relay.server.payloads.folder import BlobFolder
from tests.support.relay_requests import Signature, new_nonce, send
from tests.support.relay_scene import Scene


class ByHand:
    def __init__(self, scene, author=None) -> None:
        self.scene = scene
        self.signature = lambda: Signature.of(author or scene.first)

    async def announce(self, data: bytes, *, size=None, to=None, digest=None):
        body = {
            "size": len(data) if size is None else size,
            "digest": digest or to_base64url(sha256(data).digest()),
            "to": to or to_base64url(self.scene.coordinator.public),
        }
        url = f"{self.scene.relay.url}/v1/runs/{self.scene.run}/blobs"
        return await send("POST", url, body, signature=self.signature())

    async def put(self, blob: str, offset, data: bytes):
        url = f"{self.scene.relay.url}/v1/blobs/{blob}?offset={offset}"
        return await send("PUT", url, data, signature=self.signature())

    async def get(self, blob: str, range_=None):
        url = f"{self.scene.relay.url}/v1/blobs/{blob}"
        headers = {"Range": range_} if range_ else None
        return await send("GET", url, signature=self.signature(), headers=headers)


@pytest.fixture(scope="session")
def hand(shared_scene):
    return ByHand(shared_scene)


async def test_pieces_go_on_where_they_stopped(hand):
    data = os.urandom(100)
    blob = (await hand.announce(data)).json["id"]
    assert (await hand.put(blob, 0, data[:40])).json == {"received": 40}
    again = await hand.announce(data)
    assert (again.status, again.json) == (200, {"id": blob, "received": 40})
    assert (await hand.put(blob, 40, data[40:])).json == {"received": 100}
    assert (await hand.announce(data)).json == {"id": blob, "received": 100}
    assert (await hand.get(blob)).body == data


@pytest.mark.parametrize("offset", [0, 39, 41, 100])
async def test_a_wrong_offset_says_where_to_go_on(hand, offset):
    data = os.urandom(100)
    blob = (await hand.announce(data)).json["id"]
    await hand.put(blob, 0, data[:40])
    answer = await hand.put(blob, offset, b"x")
    assert (answer.status, answer.problem, answer.json["received"]) == (409, "conflict", 40)
    assert (await hand.put(blob, 40, data[40:])).status == 200
    assert (await hand.get(blob)).body == data


async def test_a_wrong_digest_discards_the_payload(hand):
    data, other = os.urandom(50), os.urandom(50)
    blob = (await hand.announce(data)).json["id"]
    await hand.put(blob, 0, data[:20])
    answer = await hand.put(blob, 20, other[20:])
    assert (answer.status, answer.problem) == (422, "bad-digest")
    assert (await hand.get(blob)).problem == "not-found"
    assert not (hand.scene.relay.data / "blobs" / blob[:2] / UUID(blob).hex).exists()
    anew = await hand.announce(data)
    assert (anew.status, anew.json["received"]) == (201, 0)
    assert anew.json["id"] != blob
    assert (await hand.put(anew.json["id"], 0, data)).status == 200


async def test_a_repeated_last_piece_is_refused_in_the_same_words(hand):
    """The payload is gone by then, and the answer is kept."""
    data, nonce = os.urandom(50), new_nonce()
    blob = (await hand.announce(data)).json["id"]
    url = f"{hand.scene.relay.url}/v1/blobs/{blob}?offset=0"
    for _ in range(2):
        answer = await send("PUT", url, bytes(50), signature=Signature.of(hand.scene.first, nonce=nonce))
        assert (answer.status, answer.problem) == (422, "bad-digest")


async def test_more_than_was_announced(hand):
    data = os.urandom(5)
    blob = (await hand.announce(data)).json["id"]
    assert (await hand.put(blob, 0, data + b"6")).problem == "bad-request"
    assert (await hand.put(blob, 0, b"")).problem == "bad-request"
    assert (await hand.put(blob, "0&offset=0", b"1")).problem == "bad-request"
    assert (await hand.put(blob, "-1", b"1")).problem == "bad-request"
    assert (await hand.put(blob, 0, bytes(CHUNK_BYTES + 1))).problem == "too-large"
    assert (await hand.put(blob, 0, data)).status == 200
    assert (await hand.put(blob, 5, b"6")).problem == "bad-request"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0},
        {"size": -1},
        {"size": 2**60},
        {"size": True},
        {"digest": "AA"},
        {"digest": "!" * 43},
        {"to": "nobody"},
    ],
    ids=str,
)
async def test_odd_announcements(hand, change):
    assert (await hand.announce(b"x", **change)).problem == "bad-request"


async def test_nobody_fetches_what_is_not_complete(hand):
    data = os.urandom(5)
    blob = (await hand.announce(data)).json["id"]
    await hand.put(blob, 0, data[:3])
    answer = await ByHand(hand.scene, hand.scene.coordinator).get(blob)
    assert (answer.problem, answer.json["received"]) == ("conflict", 3)


async def test_a_payload_is_for_its_recipients_alone(shared_scene):
    scene, data = shared_scene, os.urandom(9)
    lead = ByHand(scene, scene.coordinator)
    mine = (await lead.announce(data, to=to_base64url(scene.first.public))).json["id"]
    ours = (await lead.announce(data, to="all")).json["id"]
    for blob in (mine, ours):
        await lead.put(blob, 0, data)
    for site, blob, status in (
        (scene.first, mine, 200),
        (scene.second, mine, 404),
        (scene.first, ours, 200),
        (scene.second, ours, 200),
        (scene.outsider, ours, 404),
    ):
        assert (await ByHand(scene, site).get(blob)).status == status
    assert (await ByHand(scene, scene.second).put(ours, 0, data)).problem == "forbidden"


@given(start=st.integers(0, 60), length=st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_any_range(hand, start, length):
    data = bytes(range(50))

    async def ask():
        blob = (await hand.announce(data)).json
        if blob["received"] == 0:
            await hand.put(blob["id"], 0, data)
        return await hand.get(blob["id"], f"bytes={start}-{start + length - 1}")

    answer = asyncio.run(ask())
    if start >= len(data):
        assert (answer.status, answer.problem) == (416, "bad-range")
        return
    end = min(start + length, 50)
    assert (answer.status, answer.body) == (206, data[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/50"


@pytest.mark.parametrize(
    ("range_", "result"),
    [
        ("bytes=45-", bytes(range(45, 50))),
        ("bytes=-5", bytes(range(45, 50))),
        ("bytes=-100", bytes(range(50))),
        ("bytes=0-0", b"\0"),
        ("bytes=5-1", None),
        ("bytes=0-1,3-4", None),
        ("lines=1-2", None),
        ("bytes=", None),
    ],
)
async def test_forms_of_ranges(hand, range_, result):
    data = bytes(range(50))
    blob = (await hand.announce(data)).json
    if blob["received"] == 0:
        await hand.put(blob["id"], 0, data)
    answer = await hand.get(blob["id"], range_)
    if result is None:
        assert answer.problem == "bad-range"
    else:
        assert answer.body == result


async def test_two_writers_of_one_payload_do_not_mix(hand):
    """The same piece again and again at once: one is taken, the others are to come again, or told where it stands."""
    data = os.urandom(200_000)
    blob = (await hand.announce(data)).json["id"]
    answers = await asyncio.gather(*(hand.put(blob, 0, data[:100_000]) for _ in range(4)))
    taken = [answer for answer in answers if answer.status == 200]
    assert len(taken) == 1
    assert {answer.problem for answer in answers if answer not in taken} <= {"unavailable", "conflict"}
    assert (await hand.put(blob, 100_000, data[100_000:])).status == 200
    assert (await hand.get(blob)).body == data


async def test_a_payload_that_is_being_written_is_waited_for(hand):
    """As by this site's own request before, at another replica: the client tries again and goes on."""
    data = os.urandom(200)
    blob = (await hand.announce(data)).json["id"]
    folder = BlobFolder(hand.scene.relay.data / "blobs")
    async with folder.writing(UUID(blob)):
        answer = await hand.put(blob, 0, data)
        assert (answer.status, answer.problem) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    assert (await hand.put(blob, 0, data)).status == 200


async def test_a_full_disk_is_said_before_anything_is_sent(start_relay):
    limits = {"SECAGG_RELAY_DISK_RESERVE_BYTES": str(1 << 60)}
    with start_relay(environment=limits) as relay:
        scene = await Scene.on(relay)
        answer = await ByHand(scene).announce(b"x")
        assert (answer.status, answer.problem) == (507, "storage-full")
        assert await relay.metric('problems_total{type="storage-full"}') == 1  # what the alert StorageFull looks at
        assert (await send("GET", f"{relay.url}/readyz")).problem == "unavailable"
        async with scene.client(scene.first) as first:  # the rest goes on
            await first.post_message(scene.run, scene.coordinator.public, scene.frame(scene.first))


async def test_pieces_leave_the_reserve_alone(start_relay):
    """The disk had room when the payload was announced, and has none now."""
    with start_relay() as relay:
        scene = await Scene.on(relay)
        hand, data = ByHand(scene), os.urandom(100)
        blob = (await hand.announce(data)).json["id"]
        await asyncio.to_thread(relay.restart, environment={"SECAGG_RELAY_DISK_RESERVE_BYTES": str(1 << 60)})
        answer = await hand.put(blob, 0, data)
        assert (answer.status, answer.problem) == (507, "storage-full")
        await asyncio.to_thread(relay.restart)
        assert (await hand.put(blob, 0, data)).json == {"received": 100}


@given(pieces=st.lists(st.binary(min_size=1, max_size=5000), min_size=1, max_size=8), garbage=st.binary(max_size=3000))
@settings(max_examples=30, deadline=None)
def test_what_a_crash_left_behind_the_counted_bytes_is_written_over(tmp_path_factory, pieces, garbage):
    folder = BlobFolder(tmp_path_factory.mktemp("blobs") / "x")
    blob = UUID(int=len(pieces))

    async def write() -> bytes:
        offset = 0
        for piece in pieces:
            async with folder.writing(blob) as writer:
                await writer.write(offset, garbage)  # a piece that was written, and never counted
            async with folder.writing(blob) as writer:
                await writer.write(offset, piece)
            offset += len(piece)
        return b"".join([part async for part in folder.read(blob, (), 0, offset)])

    assert asyncio.run(write()) == b"".join(pieces)


async def test_a_file_that_broke_ends_the_connection_and_adds_nothing(scene, relay):
    """The disk lost a part of a payload: the reader sees a broken connection, never other bytes in its place."""
    hand, data = ByHand(scene), os.urandom(1 << 20)
    blob = (await hand.announce(data)).json["id"]
    await hand.put(blob, 0, data)
    os.truncate(relay.data / "blobs" / blob[:2] / UUID(blob).hex, 600_000)
    with pytest.raises(aiohttp.ClientPayloadError):
        await hand.get(blob)
    assert await relay.metric('faults_total{cause="input-output"}') == 1  # what the alert DiskFails looks at
    assert "payload cannot be read" in relay.log
