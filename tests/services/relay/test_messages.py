"""The rules for messages: a frame's form, slot and order, and waiting for it."""

import asyncio
import os
from hashlib import sha256
from uuid import uuid4

import pytest

from relay.api.states import RunState
from relay.api.wire import to_base64url
from relay.client.transport import RelayError
from relay.server.store import audit
from secagg.identity import Identity
from tests.support.relay_requests import Signature, send
from tests.support.relay_scene import Scene


def posting(scene, author, frame, *, to="coordinator", extra=""):
    to = to_base64url(scene.coordinator.public) if to == "coordinator" else to
    url = f"{scene.relay.url}/v1/runs/{scene.run}/messages?to={to}{extra}"
    return send("POST", url, frame, signature=Signature.of(author))


def audited(relay, action):
    rows = relay.transact(lambda db: db.execute(audit._ALL).all())
    return [row for row in rows if row.action == action]


async def test_the_same_frame_again_is_the_same_message(scene):
    frame = scene.frame(scene.first)
    first = await posting(scene, scene.first, frame)
    again = await posting(scene, scene.first, frame)
    assert (first.status, again.status, first.json) == (201, 200, again.json)
    async with scene.client(scene.coordinator) as lead:
        assert len(await lead.messages()) == 1


async def test_another_frame_in_the_slot_is_refused_and_kept_as_evidence(scene, relay):
    one, two = scene.frame(scene.first, body=b"one"), scene.frame(scene.first, body=b"two")
    accepted = await posting(scene, scene.first, one)
    refused = await posting(scene, scene.first, two)
    assert (refused.status, refused.problem) == (409, "slot-taken")
    (entry,) = [row for row in audited(relay, "slot.second-frame") if row.object == f"message/{accepted.json['id']}"]
    assert entry.actor == to_base64url(scene.first.public)
    assert sha256(one).hexdigest() in entry.detail
    assert sha256(two).hexdigest() in entry.detail
    async with scene.client(scene.coordinator) as lead:
        assert [message.frame for message in await lead.messages()] == [one]


async def test_slots_differ_by_each_of_their_parts(scene):
    frames = [
        scene.frame(scene.first),
        scene.frame(scene.first, kind=2),
        scene.frame(scene.first, round_=1),
        scene.frame(scene.second),
    ]
    for frame, author in zip(frames, [scene.first] * 3 + [scene.second], strict=True):
        assert (await posting(scene, author, frame)).status == 201
    another = await scene.make_run(uuid4())
    async with scene.client(scene.first) as first, scene.client(scene.coordinator) as lead:
        await first.post_message(another, scene.coordinator.public, frames[0])
        for site, index in ((scene.first, 1), (scene.second, 2)):
            await lead.post_message(scene.run, site.public, scene.frame(scene.coordinator, recipient=index))


@pytest.mark.parametrize(
    ("author", "header", "to"),
    [
        ("first", {"sender": 0}, "coordinator"),
        ("first", {"recipient": 0xFFFF}, "coordinator"),
        ("first", {"recipient": 2}, "coordinator"),
        ("coordinator", {"sender": 1}, "all"),
        ("coordinator", {"recipient": 1}, "all"),
        ("coordinator", {"recipient": 0}, "first"),
        ("coordinator", {"recipient": 0xFFFF}, "first"),
    ],
)
async def test_the_header_fits_the_request(shared_scene, author, header, to):
    scene, author = shared_scene, getattr(shared_scene, author)
    to = to_base64url(scene.first.public) if to == "first" else to
    answer = await posting(scene, author, scene.frame(author, round_=7, **header), to=to)
    assert (answer.status, answer.problem) == (400, "bad-frame")


async def test_what_is_no_frame_of_the_sender(shared_scene):
    scene = shared_scene
    frame = scene.frame(scene.first, round_=8)
    flipped = bytes([*frame[:-1], frame[-1] ^ 1])
    for body in (b"", b"\1", frame + b"\0", frame[:-1], flipped, scene.frame(scene.second, round_=8), b"{}"):
        answer = await posting(scene, scene.first, body)
        assert (answer.status, answer.problem) == (400, "bad-frame"), body[:10]
    assert (await posting(scene, scene.first, bytes((4 << 20) + 1))).problem == "too-large"


@pytest.mark.parametrize("to", ["all", "second", "outsider", "first"])
async def test_a_site_writes_to_the_coordinator_alone(shared_scene, to):
    scene = shared_scene
    key = to if to == "all" else to_base64url(getattr(scene, to).public)
    answer = await posting(scene, scene.first, scene.frame(scene.first, round_=9), to=key)
    assert answer.problem == "forbidden"


@pytest.mark.parametrize("to", ["outsider", "coordinator", "nobody"])
async def test_the_coordinator_writes_to_the_roster_alone(shared_scene, to):
    scene = shared_scene
    key = Identity(os.urandom(32)) if to == "nobody" else getattr(scene, to)
    frame = scene.frame(scene.coordinator, recipient=0 if to == "coordinator" else 1, round_=9)
    answer = await posting(scene, scene.coordinator, frame, to=to_base64url(key.public))
    assert answer.problem == "forbidden"


@pytest.mark.parametrize("query", ["", "?to=", "?to=everyone", "?to=all&to=all", "?to=all&x=1", "?to=all&payload=1"])
async def test_odd_queries(shared_scene, query):
    scene = shared_scene
    url = f"{scene.relay.url}/v1/runs/{scene.run}/messages{query}"
    answer = await send("POST", url, scene.frame(scene.coordinator), signature=Signature.of(scene.coordinator))
    assert answer.problem == "bad-request"


@pytest.mark.parametrize(
    "query",
    ["wait=31", "wait=-1", "wait=nan", "wait=inf", "after=-1", "after=x", "after=%2B1", "limit=0", "limit=9999"],
)
async def test_odd_polls(shared_scene, query):
    url = f"{shared_scene.relay.url}/v1/messages?{query}"
    assert (await send("GET", url, signature=Signature.of(shared_scene.first))).problem == "bad-request"


async def test_a_payload_must_be_complete_and_the_senders_own_and_for_the_recipient(scene):
    data = os.urandom(10)
    to = scene.coordinator.public
    async with (
        scene.client(scene.first) as first,
        scene.client(scene.second) as second,
        scene.client(scene.coordinator) as lead,
    ):
        foreign = await second.upload(scene.run, data, size=10, digest=sha256(data).digest(), to=to)
        announcement = {"size": 5, "digest": to_base64url(bytes(32)), "to": to_base64url(to)}
        url = f"{scene.relay.url}/v1/runs/{scene.run}/blobs"
        started = await send("POST", url, announcement, signature=Signature.of(scene.first))
        for payload, problem in (
            (foreign, "not-found"),
            (str(uuid4()), "not-found"),
            (started.json["id"], "conflict"),
        ):
            with pytest.raises(RelayError) as caught:
                await first.post_message(scene.run, to, scene.frame(scene.first), payload)
            assert caught.value.type == problem
        for_first = await lead.upload(scene.run, data, size=10, digest=sha256(data).digest(), to=scene.first.public)
        with pytest.raises(RelayError) as caught:
            await lead.post_message(scene.run, None, scene.frame(scene.coordinator), for_first)
        assert caught.value.type == "forbidden"
        other_run = await scene.make_run(uuid4(), RunState.RUNNING)
        mine = await first.upload(other_run, data, size=10, digest=sha256(data).digest(), to=to)
        with pytest.raises(RelayError) as caught:
            await first.post_message(scene.run, to, scene.frame(scene.first), mine)
        assert caught.value.type == "not-found"
        assert await lead.messages() == []


async def test_a_poll_wakes_when_a_message_comes(scene):
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
        waiting = asyncio.create_task(lead.messages(wait=20))
        await scene.relay.polls_wait(1)
        await first.post_message(scene.run, scene.coordinator.public, scene.frame(scene.first))
        async with asyncio.timeout(15):  # less than it would have waited
            (message,) = await waiting
        assert message.sender == scene.first.public


async def test_a_poll_ends_empty_when_its_time_is_over(scene):
    async with scene.client(scene.first) as first:
        waiting = asyncio.create_task(first.messages(wait=1.5))
        await scene.relay.polls_wait(1)
        assert await waiting == []


async def test_messages_for_others_wake_nobody(scene):
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
        waiting = asyncio.create_task(first.messages(wait=1.5))
        await scene.relay.polls_wait(1)
        frame = scene.frame(scene.coordinator, recipient=2)
        await lead.post_message(scene.run, scene.second.public, frame)
        assert await waiting == []


async def test_one_poll_too_many_ends_the_oldest(scene):
    """Four of a site may wait. A site whose connection broke comes again while its old poll still stands there."""
    async with scene.client(scene.first) as first:
        polls = []
        for number in range(4):
            polls.append(asyncio.create_task(first.messages(wait=20)))
            await scene.relay.polls_wait(number + 1)
        polls.append(asyncio.create_task(first.messages(wait=20)))
        done, pending = await asyncio.wait(polls, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert done == {polls[0]}
        assert polls[0].result() == []
        async with scene.client(scene.coordinator) as lead:  # ends the others
            await lead.post_message(scene.run, None, scene.frame(scene.coordinator))
        assert [len(found) for found in await asyncio.gather(*pending)] == [1, 1, 1, 1]


async def test_ids_ascend_in_the_order_of_commits_for_every_reader(scene):
    """A reader that pages along while many write sees every message once, and never a number below one it has seen."""
    total = 60
    seen: list[int] = []

    async def read() -> None:
        async with scene.client(scene.coordinator) as lead:
            while len(seen) < total:
                seen.extend(message.id for message in await lead.messages(seen[-1] if seen else 0, wait=5))

    async def write(author, numbers) -> list[int]:
        async with scene.client(author) as client:
            to = scene.coordinator.public
            return [await client.post_message(scene.run, to, scene.frame(author, round_=number)) for number in numbers]

    writers = [write(scene.first, range(30)), write(scene.second, range(15)), write(scene.second, range(15, 30))]
    _, *posted = await asyncio.gather(read(), *writers)
    assert seen == sorted(number for numbers in posted for number in numbers)


async def test_a_second_process_on_the_same_data_sees_and_wakes(start_relay):
    with start_relay() as one, start_relay() as two:
        scene = await Scene.on(one)
        async with scene.client(scene.first) as first:
            elsewhere = Scene(two, scene.coordinator)
            async with elsewhere.client(scene.coordinator) as lead:
                waiting = asyncio.create_task(lead.messages(wait=25))
                await two.polls_wait(1)
                number = await first.post_message(scene.run, scene.coordinator.public, scene.frame(scene.first))
                async with asyncio.timeout(20):  # less than it would have waited
                    assert [message.id for message in await waiting] == [number]


async def test_quotas_of_a_run(start_relay):
    limits = {
        "SECAGG_RELAY_MAX_MESSAGES": "3",
        "SECAGG_RELAY_MAX_FRAME_BYTES": "1000",
        "SECAGG_RELAY_MAX_PAYLOAD_BYTES": "100",
    }
    with start_relay(environment=limits) as relay:
        scene = await Scene.on(relay)
        assert (await posting(scene, scene.second, scene.frame(scene.second, body=bytes(990)))).problem == "quota"
        assert (await posting(scene, scene.first, scene.frame(scene.first))).status == 201
        # refused second frames count as well, else they would fill the audit log for free
        assert (await posting(scene, scene.first, scene.frame(scene.first, body=b"2"))).problem == "slot-taken"
        assert (await posting(scene, scene.first, scene.frame(scene.first, kind=2))).status == 201
        for kind in (1, 3):
            answer = await posting(scene, scene.first, scene.frame(scene.first, kind=kind, body=b"3"))
            assert (answer.status, answer.problem) == (429, "quota")
            assert int(answer.headers["Retry-After"]) > 0
        url = f"{relay.url}/v1/runs/{scene.run}/blobs"
        for size, status in ((60, 201), (41, 429), (40, 201)):
            announcement = {"size": size, "digest": to_base64url(os.urandom(32)), "to": "all"}
            answer = await send("POST", url, announcement, signature=Signature.of(scene.coordinator))
            assert answer.status == status
        another = await scene.make_run(uuid4())
        async with scene.client(scene.first) as first:
            await first.post_message(another, scene.coordinator.public, scene.frame(scene.first, kind=3))
