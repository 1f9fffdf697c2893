"""The client on a bad connection: what it retries, what it does not, and that nothing happens twice."""

import asyncio
import datetime as dt
import ipaddress
import os
import re
import ssl
import time
from hashlib import sha256
from types import SimpleNamespace
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relay.api.wire import CHUNK_BYTES
from relay.client.exchange import MAX_ANSWER_BYTES
from relay.client.transport import RelayClient, RelayError, RelayUnavailableError, RunState
from secagg.errors import ParameterError
from secagg.identity import Identity
from tests.support.fault_proxy import FaultProxy


@pytest.fixture
async def line(relay):
    async with FaultProxy.before(relay.url) as proxy:
        yield proxy


def through(line: FaultProxy, identity: Identity, **options) -> RelayClient:
    return RelayClient(line.url, identity, **{"give_up_after_s": 20.0} | options)


def nonces(line: FaultProxy) -> list[str]:
    return [re.search('nonce="([^"]+)"', headers["Signature-Input"])[1] for _, _, headers in line.seen]


@pytest.mark.parametrize("fault", ["reset", "lose", "408", "429", "500", "502", "503", "504", "507", "cut:3"])
async def test_a_write_has_one_effect_on_a_bad_line(scene, line, fault):
    line.plan = [fault, fault]
    async with through(line, scene.coordinator) as client:
        run = await client.change_run(scene.run, "running", "paused")
    assert run.state == RunState.PAUSED
    assert len(line.seen) == 3
    assert len(set(nonces(line))) == 1  # kept over the tries


async def test_each_request_has_a_nonce_of_its_own(scene, line):
    async with through(line, scene.first) as client:
        await client.sites()
        await client.projects()
        await client.projects()
    assert len(set(nonces(line))) == 3


async def test_a_message_is_posted_once(scene, line):
    line.plan = ["lose", "reset", "lose", "502"]
    async with through(line, scene.first) as client, scene.client(scene.coordinator) as lead:
        number = await client.post_message(scene.run, scene.coordinator.public, scene.frame(scene.first))
        assert [message.id for message in await lead.messages()] == [number]


async def test_an_upload_goes_on_where_it_broke(scene, line):
    data = os.urandom(2 * CHUNK_BYTES + 77)
    line.plan = ["pass", "lose", "pass", "reset", "lose", "reset"]
    async with through(line, scene.first) as client, scene.client(scene.coordinator) as lead:
        blob = await client.upload(
            scene.run, data, size=len(data), digest=sha256(data).digest(), to=scene.coordinator.public
        )
        assert b"".join([piece async for piece in lead.download(blob)]) == data


async def test_an_upload_of_an_earlier_process_goes_on(scene, line):
    data = os.urandom(2 * CHUNK_BYTES + 77)
    sizes = {"size": len(data), "digest": sha256(data).digest(), "to": scene.coordinator.public}
    async with through(line, scene.first, give_up_after_s=0.1) as client:
        line.plan = ["pass", "pass", "reset", "reset", "reset", "reset", "reset", "reset", "reset", "reset"]
        with pytest.raises(RelayUnavailableError):
            await client.upload(scene.run, data, **sizes)
    line.plan, line.seen = [], []
    pieces = (data[at : at + 1000] for at in range(0, len(data), 1000))
    async with through(line, scene.first) as client:
        await client.upload(scene.run, pieces, **sizes)
    assert [path.partition("=")[2] for method, path, _ in line.seen if method == "PUT"] == [
        str(CHUNK_BYTES),
        str(2 * CHUNK_BYTES),
    ]


@pytest.mark.parametrize("wrong", [-1, 1])
async def test_a_payload_of_another_size_than_announced(scene, wrong):
    data = os.urandom(1000)
    async with scene.client(scene.first) as client:
        with pytest.raises(ParameterError, match="announced"):
            await client.upload(
                scene.run, data, size=1000 + wrong, digest=sha256(data).digest(), to=scene.coordinator.public
            )


async def test_a_download_goes_on_where_it_broke(scene, line):
    data = os.urandom(300_000)
    async with scene.client(scene.first) as first:
        blob = await first.upload(
            scene.run, data, size=len(data), digest=sha256(data).digest(), to=scene.coordinator.public
        )
    line.plan = ["reset", "cut:1000", "503", "cut:100000", "lose"]
    async with through(line, scene.coordinator) as client:
        assert b"".join([piece async for piece in client.download(blob)]) == data
    ranges = [headers["Range"] for _, _, headers in line.seen]
    assert ranges[:3] == ["bytes=0-", "bytes=0-", "bytes=1000-"]


async def test_a_download_without_progress_gives_up(scene, line):
    data = os.urandom(1000)
    async with scene.client(scene.first) as first:
        blob = await first.upload(scene.run, data, size=1000, digest=sha256(data).digest(), to=scene.coordinator.public)
    line.plan = ["cut:0"] * 10
    async with through(line, scene.coordinator) as client:
        with pytest.raises(RelayUnavailableError):
            _ = [piece async for piece in client.download(blob)]
    line.plan = []
    async with through(line, scene.coordinator) as client:  # a reader that stops early leaves nothing behind
        async for _ in client.download(blob):
            break


async def test_it_gives_up_in_time_and_says_why(line):
    line.plan = ["reset"] * 100
    async with through(line, Identity(os.urandom(32)), give_up_after_s=0.5) as client:
        with pytest.raises(RelayUnavailableError, match="did not accept the request in"):
            await client.sites()
    assert 1 < len(line.plan) < 99  # it tried again, and not for ever


async def test_nobody_listens():
    async with RelayClient("http://127.0.0.1:9", Identity(os.urandom(32)), give_up_after_s=0.2) as client:
        with pytest.raises(RelayUnavailableError):
            await client.sites()


async def test_it_pauses_as_long_as_it_is_asked_to(scene, line, monkeypatch):
    line.plan, line.retry_after = ["503"], "7"
    pauses, sleep = [], asyncio.sleep

    async def at_once(seconds: float, *result) -> None:
        pauses.append(seconds)
        await sleep(0, *result)

    async with through(line, scene.first) as client:
        monkeypatch.setattr(asyncio, "sleep", at_once)
        await client.sites()
    assert max(pauses) >= 7


@pytest.mark.parametrize(
    "word",
    [
        "403",
        "404",
        "200",
        "body:<html>",
        "body:{}",
        'body:{"sites": 1}',
        "location",
        f"body:{'x' * (MAX_ANSWER_BYTES + 1)}",
    ],
    ids=lambda word: word[:12],
)
async def test_what_is_no_relay_is_no_refusal(scene, line, word):
    """A proxy's page decides nothing about a request, so nobody drops a frame because of it."""
    line.plan = [word]
    async with through(line, scene.first) as client:
        with pytest.raises(RelayUnavailableError):
            await client.sites()
    assert len(line.seen) == 1


async def test_a_refusal_is_final_and_typed(scene, line):
    async with through(line, scene.first) as client:
        with pytest.raises(RelayError) as caught:
            await client.run(uuid4())
    assert (caught.value.type, caught.value.status) == ("not-found", 404)
    assert len(line.seen) == 1


@pytest.mark.parametrize(
    "url",
    ["relay.example.org", "ftp://relay", "http://relay.example.org", "https://relay/path", "https://relay?x=1", ""],
)
def test_urls_that_are_not_taken(url):
    with pytest.raises(ParameterError):
        RelayClient(url, Identity(bytes(32)))


async def test_a_forward_proxy(scene, line):
    async with RelayClient(scene.relay.url, scene.first, proxy=line.url) as client:
        assert await client.sites()
    assert len(line.seen) == 1


async def test_the_proxy_of_the_environment(scene, line, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", line.url)
    async with scene.client(scene.first) as client:
        assert await client.sites()
    assert len(line.seen) == 1


def make_certificate(folder) -> ssl.SSLContext:
    """A self-signed certificate for localhost, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    places = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(places), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


async def test_tls_with_a_private_authority(scene, tmp_path):
    async with FaultProxy.before(scene.relay.url, ssl_context=make_certificate(tmp_path)) as line:
        async with through(line, scene.first, ca_file=tmp_path / "ca.pem") as client:
            assert await client.sites()
        async with through(line, scene.first) as client:
            with pytest.raises(RelayUnavailableError, match="TLS"):
                async with asyncio.timeout(20):  # trying again, for a minute, would not mend it
                    await client.sites()


async def test_polls_survive_a_restart_of_the_relay(start_relay):
    from tests.support.relay_scene import Scene

    with start_relay() as relay:
        scene = await Scene.on(relay)
        async with scene.client(scene.coordinator, give_up_after_s=60) as lead, scene.client(scene.first) as first:
            poll = asyncio.create_task(lead.messages(wait=30))
            await relay.polls_wait(1)
            await asyncio.to_thread(relay.restart)
            await relay.polls_wait(1)
            number = await first.post_message(scene.run, scene.coordinator.public, scene.frame(scene.first))
            assert [message.id for message in await poll] == [number]


@pytest.mark.parametrize(("ahead", "words"), [(90, "s ahead of the relay"), (-90, "s behind the relay")])
async def test_a_clock_that_is_off_is_trouble_by_that_name(scene, line, monkeypatch, ahead, words):
    """The relay answers and refuses everything: such a site is as cut off as one without a network."""
    async with through(line, scene.first, give_up_after_s=1) as client:
        await client.projects()
        assert client.connection.trouble == ""
        assert abs(client.connection.clock_offset_s) <= 1
        clock = SimpleNamespace(time=lambda: time.time() + ahead)  # the site's alone: the relay is in this process
        monkeypatch.setattr("relay.client.exchange.time", clock)
        with pytest.raises(RelayUnavailableError, match="stale-signature"):
            await client.projects()
        assert words in client.connection.trouble
        assert abs(client.connection.clock_offset_s - ahead) <= 1
        monkeypatch.undo()
        await client.projects()
    assert client.connection.trouble == ""


async def test_a_site_that_the_relay_does_not_know_is_in_trouble(line):
    async with through(line, Identity(bytes([7]) * 32)) as client:
        with pytest.raises(RelayError, match="unknown-site"):
            await client.projects()
    assert "the relay refuses this site: unknown-site" in client.connection.trouble
