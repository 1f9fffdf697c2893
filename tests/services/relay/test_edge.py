"""The relay's edge: who may connect, how often, how many at a time, and how long it waits for slow clients."""

import asyncio
import contextlib
import os
import time
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from relay.api.wire import to_base64url
from tests.support.relay_process import RelayProcess
from tests.support.relay_requests import Answer, Signature, send
from tests.support.relay_scene import Scene

DEADLINE_S = 15
"""Whoever is slow is closed within this time; the settings below are shorter."""

LIMITS = {
    "SECAGG_RELAY_TRUSTED_PROXIES": '["127.0.0.1/32"]',  # other loopback addresses are strangers
    "SECAGG_RELAY_ALLOW": '["127.0.0.0/8", "203.0.113.0/24"]',
    "SECAGG_RELAY_MAX_CONNECTIONS_PER_ADDRESS": "20",
    "SECAGG_RELAY_RATE_PER_ADDRESS": "2",
    "SECAGG_RELAY_RATE_PER_SITE": "4",
    "SECAGG_RELAY_HEAD_S": "1",
    "SECAGG_RELAY_STALL_S": "1",
    "SECAGG_RELAY_BODY_GRACE_S": "1",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with RelayProcess.start(tmp_path_factory.mktemp("edge") / "data", environment=LIMITS) as relay:
        yield asyncio.run(Scene.on(relay))


async def get(scene, path="/livez", *, from_: str = "127.0.0.1", **headers) -> Answer:
    connector = aiohttp.TCPConnector(local_addr=(from_, 0))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"{scene.relay.url}{path}", headers=headers) as answer,
    ):
        return Answer(answer.status, answer.headers, await answer.read())


@contextlib.asynccontextmanager
async def socket_to(scene, from_: str):
    place = urlsplit(scene.relay.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, local_addr=(from_, 0))
    try:
        yield reader, writer
    finally:
        writer.close()


async def closed(reader) -> None:
    """Return when the relay closed the connection; fail where it does not in time."""
    async with asyncio.timeout(DEADLINE_S):
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass


async def refused_connections(guarded, reason: str) -> float:
    """The relay's count of connections that it closed for a reason."""
    async with aiohttp.ClientSession() as session, session.get(f"{guarded.relay.admin_url}/metrics") as answer:
        series = f'secagg_relay_refused_connections_total{{reason="{reason}"}} '
        lines = (await answer.text()).splitlines()
    return sum(float(line.removeprefix(series)) for line in lines if line.startswith(series))


async def test_an_address_that_is_not_on_the_list(guarded):
    forwarded = {"X-Forwarded-For": "198.51.100.7"}
    assert (await get(guarded, **forwarded)).problem == "bad-address"
    assert (await get(guarded, **{"X-Forwarded-For": "203.0.113.7"})).status == 200
    # from a stranger the header says nothing
    assert (await get(guarded, from_="127.0.0.9", **forwarded)).status == 200


async def test_a_proxy_that_passes_on_nonsense(guarded):
    assert (await get(guarded, **{"X-Forwarded-For": "somebody"})).problem == "bad-address"


LOGS = {"SECAGG_RELAY_LOG_ADDRESSES": "true", "SECAGG_RELAY_LOG_LEVEL": "debug"}


async def test_the_log_names_the_address_behind_the_proxy(tmp_path):
    with RelayProcess.start(tmp_path / "data", environment=LIMITS | LOGS) as relay:
        await get(Scene(relay), **{"X-Forwarded-For": "203.0.113.7"})
        assert '"address": "203.0.113.7"' in relay.log


async def test_an_address_that_comes_too_often(guarded):
    answers = [await get(guarded, **{"X-Forwarded-For": "203.0.113.8"}) for _ in range(25)]
    assert [answer.status for answer in answers[:20]] == [200] * 20
    refused = [answer for answer in answers if answer.status != 200]
    assert refused
    assert {answer.problem for answer in refused} == {"rate-limited"}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert (await get(guarded, **{"X-Forwarded-For": "203.0.113.9"})).status == 200  # another one's own
    assert all([(await get(guarded)).status == 200 for _ in range(25)])  # the proxy itself is not limited


async def test_a_site_that_comes_too_often_does_not_hinder_another(guarded):
    url = f"{guarded.relay.url}/v1/sites"
    asking = [send("GET", url, signature=Signature.of(guarded.outsider)) for _ in range(60)]
    answers = await asyncio.gather(*asking)
    assert {answer.status for answer in answers} == {200, 429}
    assert {answer.problem for answer in answers if answer.status == 429} == {"rate-limited"}
    assert (await send("GET", url, signature=Signature.of(guarded.first))).status == 200


async def test_a_client_waits_as_it_is_told(guarded):
    """All that it sends is taken in the end, and none of it fails."""
    async with guarded.client(guarded.second) as site:
        await asyncio.gather(*(site.heartbeat() for _ in range(48)))
    refused = 'secagg_relay_problems_total{type="rate-limited"}'
    async with aiohttp.ClientSession() as session, session.get(f"{guarded.relay.admin_url}/metrics") as answer:
        assert any(
            line.startswith(refused) and float(line.split()[1]) > 0 for line in (await answer.text()).splitlines()
        )


async def test_a_forged_signature_is_not_counted_against_the_site(guarded):
    url = f"{guarded.relay.url}/v1/sites"
    forged = [Signature.of(guarded.rival, key_id=to_base64url(guarded.first.public)) for _ in range(50)]
    answers = await asyncio.gather(*(send("GET", url, signature=signature) for signature in forged))
    assert {answer.problem for answer in answers} == {"bad-signature"}
    assert (await send("GET", url, signature=Signature.of(guarded.first))).status == 200


async def test_connections_of_one_address(guarded):
    async with contextlib.AsyncExitStack() as stack:
        before = await refused_connections(guarded, "per-address")
        readers = [(await stack.enter_async_context(socket_to(guarded, "127.0.0.3")))[0] for _ in range(25)]
        await asyncio.gather(*map(closed, readers))
        assert (
            await refused_connections(guarded, "per-address") == before + 5
        )  # the others when their head does not come
        assert (await get(guarded, from_="127.0.0.3")).status == 200  # they count no longer


@pytest.mark.parametrize("beginning", [b"", b"GET /livez HTTP/1.1\r\nHo", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET"])
async def test_slow_heads_are_closed(guarded, beginning):
    """From many addresses at once, one byte at a time; others are served meanwhile."""

    async def slow(number: int) -> None:
        async with socket_to(guarded, f"127.0.1.{number}") as (reader, writer):
            writer.write(beginning)
            ending = asyncio.create_task(closed(reader))
            while beginning and not ending.done():
                with contextlib.suppress(ConnectionError):
                    writer.write(b"x")
                    await writer.drain()
                await asyncio.sleep(0.2)
            await ending

    attack = asyncio.gather(*map(slow, range(1, 41)))
    while not attack.done():
        assert (await get(guarded)).status == 200
        await asyncio.sleep(0.1)
    await attack
    async with aiohttp.ClientSession() as session, session.get(f"{guarded.relay.admin_url}/metrics") as answer:
        assert 'secagg_relay_refused_connections_total{reason="' in await answer.text()


async def test_a_slow_reader_is_closed(guarded):
    scene = guarded
    data = os.urandom(16 << 20)  # more than the kernel's buffers take
    async with scene.client(scene.coordinator) as lead:
        blob = await lead.upload(scene.run, data, size=len(data), digest=sha256(data).digest(), to=None)
    path = f"/v1/blobs/{blob}"
    signed = Signature.of(scene.coordinator).sign("GET", f"http://relay{path}", b"")
    head = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    place = urlsplit(scene.relay.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1 << 10)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: relay\r\n{head}\r\n".encode())
    await writer.drain()
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + DEADLINE_S
    while await _connections(scene.relay):  # it reads nothing more, and does not close either
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    writer.close()


async def _connections(relay) -> int:
    """How many connections to the public port the kernel knows as established at the relay's end."""
    port = f":{relay.port:04X}"
    lines = [line.split() for line in (await asyncio.to_thread(Path("/proc/net/tcp").read_text)).splitlines()[1:]]
    return sum(line[1].endswith(port) and line[3] == "01" for line in lines)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, chunked", "br"])
async def test_a_bomb_is_not_unpacked(guarded, coding):
    scene = guarded
    path = f"/v1/runs/{scene.run}/messages?to=all"
    signed = Signature.of(scene.second).sign("POST", f"http://relay{path}", b"")
    header = "Transfer-Encoding" if "chunked" in coding else "Content-Encoding"
    head = "".join(f"{name}: {value}\r\n" for name, value in {**signed, header: coding}.items())
    length = "" if "chunked" in coding else "Content-Length: 20\r\n"
    async with socket_to(scene, "127.0.0.1") as (reader, writer):
        writer.write(f"POST {path} HTTP/1.1\r\nHost: relay\r\n{length}{head}\r\n".encode() + b"\x1f\x8b" * 10)
        assert (await asyncio.wait_for(reader.readline(), DEADLINE_S)).split()[1] == b"400"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nno header\r\n\r\n",
        b"\x16\x03\x01\x00\x05\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nExpect: the best\r\nConnection: close\r\n\r\n",
    ],
    ids=["a broken head", "no HTTP at all", "an odd expectation"],
)
async def test_a_request_that_reaches_no_endpoint_is_refused_in_the_same_form(guarded, head):
    async with socket_to(guarded, "127.0.0.1") as (reader, writer):
        writer.write(head)
        answer = await asyncio.wait_for(reader.read(), DEADLINE_S)
    status, _, rest = answer.partition(b"\r\n")
    assert status.split()[1] == b"400"
    assert b"\r\nSecagg-Relay-Epoch: " in rest
    assert b"urn:secagg:problem:bad-request" in rest


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 4000,
        b'{"a":' * 800,
        b'{"size": ' + b"9" * 4000 + b"}",
        b'{"size": 1e999}',
        b"\xff\xfe",
        b'"' + b"\\" * 4000,
    ],
)
async def test_deep_and_huge_json(guarded, body):
    url = f"{guarded.relay.url}/v1/runs/{guarded.run}/blobs"
    assert (await send("POST", url, body, signature=Signature.of(guarded.first))).problem == "bad-request"


async def test_a_room_that_is_full_of_waiting_sites(tmp_path):
    """One more long poll is told to come again; asking without waiting works, and so does writing."""
    with RelayProcess.start(tmp_path / "data", environment={"SECAGG_RELAY_MAX_POLLS": "1"}) as relay:
        scene = await Scene.on(relay)
        async with scene.client(scene.first) as first, scene.client(scene.coordinator) as lead:
            poll = asyncio.create_task(first.messages(wait=20))
            await relay.polls_wait(1)
            url = f"{relay.url}/v1/messages?wait=5"
            refused = await send("GET", url, signature=Signature.of(scene.second))
            assert refused.problem == "unavailable"
            assert int(refused.headers["Retry-After"]) > 0
            assert (await send("GET", f"{relay.url}/v1/messages", signature=Signature.of(scene.second))).status == 200
            number = await lead.post_message(scene.run, None, scene.frame(scene.coordinator))
            assert [message.id for message in await poll] == [number]
