"""The relay as its operator sees it: commands, health, limits on bodies, orderly shutdown."""

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from urllib.parse import urlsplit

import aiohttp
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from relay.api.wire import to_base64url
from relay.server.commands.cli import app, main
from relay.server.core.config import FILE_NAME, sqlite_url
from relay.server.http import openapi
from relay.server.routes import ROUTES
from relay.server.store import migrate
from relay.server.store.connect import transact
from secagg.audit import BrokenChainError
from secagg.errors import ParameterError
from tests.support.relay_process import RelayProcess, apart
from tests.support.relay_requests import Signature, send
from tests.support.relay_scene import Scene


def told(*words: str) -> str:
    """What a command prints on stdout. In this process: starting one takes a second."""
    return CliRunner().invoke(app, words, catch_exceptions=False).stdout


def command(*words: str, environment=None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SECAGG_")}
    return subprocess.run(
        [sys.executable, "-m", "relay", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean | (environment or {}),
        check=False,
    )


def test_tokens_from_making_to_revoking(tmp_path):
    data = ("--data", str(tmp_path / "data"))
    made = json.loads(told("token", "create", "--label", "Klinikum", "--ttl", "2h", "--json", *data))
    assert made["token"].startswith("secagg-join-")
    assert (made["id"], made["role"]) == (1, "site")
    assert 7100 < made["expires"] - time.time() < 7201
    assert "role coordinator" in told("token", "create", "--role", "coordinator", "--label", "Study", *data)
    assert json.loads(told("token", "revoke", "1", "--json", *data)) == {"id": 1, "state": "revoked"}
    listed = json.loads(told("token", "list", "--json", *data))["tokens"]
    assert [(entry["id"], entry["role"], entry["state"]) for entry in listed] == [
        (1, "site", "revoked"),
        (2, "coordinator", "open"),
    ]
    assert "Klinikum" in told("token", "list", *data)
    with pytest.raises(ParameterError, match="token 1 does not exist or is no longer open"):
        told("token", "revoke", "1", *data)
    verified = json.loads(told("audit", "verify", "--json", *data))
    assert (verified["entries"], verified["ok"]) == (3, True)
    assert told("audit", "verify", "--head", verified["head"], *data) == "3 entries, chain intact\n"
    assert made["token"].encode() not in b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())


def test_a_broken_audit_log_is_named(tmp_path):
    data = ("--data", str(tmp_path / "data"))
    for label in ("one", "two", "three"):
        told("token", "create", "--label", label, *data)
    transact(sqlite_url(tmp_path / "data"), lambda db: db.execute(text("UPDATE audit SET detail = '{}' WHERE seq = 2")))
    verified = command("audit", "verify", *data)
    assert verified.returncode == 1
    assert "the chain breaks at entry 1" in verified.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("token", "list"), "contains no relay"),
        (("token", "create", "--label", "x", "--ttl", "soon"), "is not a duration"),
        (("token", "create", "--label", "\n"), "printable"),
        (("audit", "verify", "--head", "xyz"), "hex digits"),
        (("audit", "verify", "--key", "xyz"), "43 base64url characters"),
        (("audit", "checkpoint"), "contains no relay"),
        (("serve", "--config", "/nowhere/relay.toml"), "does not exist"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(tmp_path, words, reason, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["secagg-relay", *words, "--data", str(tmp_path / "data")])
    before = os.umask(0o077)
    with pytest.raises(SystemExit) as caught:
        main()
    os.umask(before)
    said = capsys.readouterr()
    assert (caught.value.code, said.out) == (1, "")
    assert reason in said.err
    assert said.err.startswith("secagg-relay: ")
    assert said.err.count("\n") == 1


def test_migrate_says_what_it_did(tmp_path):
    data = ("--data", str(tmp_path / "data"), "--json")
    assert json.loads(told("migrate", *data)) == {"from": "", "to": migrate.REVISION}
    assert json.loads(told("migrate", *data)) == {"from": None, "to": migrate.REVISION}


def test_a_newer_schema_refuses_to_start(tmp_path):
    data = tmp_path / "data"
    told("migrate", "--data", str(data))
    transact(sqlite_url(data), lambda db: db.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    done = command("serve", "--data", str(data), "--port", "0", "--admin-port", "0")
    assert done.returncode == 1
    assert "newer release" in done.stderr.splitlines()[-1]


def test_unknown_settings_refuse_to_start(tmp_path):
    done = command("serve", "--data", str(tmp_path / "data"), environment={"SECAGG_RELAY_PROT": "1"})
    assert (done.returncode, done.stdout) == (1, "")
    assert "SECAGG_RELAY_PROT" in done.stderr


async def test_the_description_is_served_and_printed(relay):
    served = await send("GET", f"{relay.url}/v1/openapi.json")
    printed = await asyncio.to_thread(command, "openapi")
    assert served.json == json.loads(printed.stdout) == openapi.document(ROUTES)


async def test_health_and_metrics(relay, shared_scene):
    for base in (relay.url, relay.admin_url):
        for path, status in (("livez", "alive"), ("readyz", "ready")):
            answer = await send("GET", f"{base}/{path}")
            assert (answer.status, answer.json["status"]) == (200, status)
    async with shared_scene.client(shared_scene.first) as first:
        await first.heartbeat()
    metrics = (await send("GET", f"{relay.admin_url}/metrics")).body.decode()
    assert 'secagg_relay_requests_total{route="heartbeat",status="204"}' in metrics
    assert "secagg_relay_build_info" in metrics
    families = {line.split()[2] for line in metrics.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith(("secagg_relay_", "process_", "python_")) for name in families)
    assert shared_scene.first.public.hex() not in metrics


async def test_the_names_of_the_metrics_are_as_prometheus_wants_them(relay, shared_scene):
    promtool = shutil.which("promtool") or pytest.skip("promtool (Debian package prometheus) is not installed")
    async with shared_scene.client(shared_scene.first) as first:
        await first.heartbeat()
    scrape = await relay.metrics()
    ours = "".join(f"{line}\n" for line in scrape.splitlines() if "secagg_relay_" in line)
    check = [promtool, "check", "metrics"]
    checked = await asyncio.to_thread(subprocess.run, check, input=ours, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


async def test_the_relay_started_once_it_was_ready(relay):
    for path in ("startupz", "health"):
        assert (await send("GET", f"{relay.admin_url}/{path}")).status == 200


async def test_a_checkpoint_is_signed_logged_and_shown_to_sites(tmp_path):
    apart(lambda: told("token", "create", "--label", "one", "--data", str(tmp_path / "data")))
    with RelayProcess.start(tmp_path / "data") as relay:
        scene = await Scene.on(relay)
        async with scene.client(scene.first) as first:
            for _ in range(100):
                if (facts := await first.relay()).checkpoint is not None:
                    break
                await asyncio.sleep(0.2)
        answer = await send("GET", f"{relay.url}/livez")
        assert answer.headers["Secagg-Relay-Epoch"] == str(facts.epoch)
        kept = tmp_path / "kept.jsonl"
        kept.write_text(relay.log)
        data = ("--data", str(relay.data))
        told_ = json.loads(apart(lambda: told("audit", "verify", "--checkpoints", str(kept), "--json", *data)))
        assert (told_["entries"], told_["signed_entries"], told_["ok"]) == (1, 1, True)
        assert told_["keys"] == [to_base64url(facts.checkpoint.public)]
        assert json.loads(apart(lambda: told("audit", "checkpoint", *data)))["head"] == facts.checkpoint.head
        assert "secagg_relay_audit_entries 1.0" in await relay.metrics()


def test_an_exported_log_is_checked_anywhere(tmp_path):
    data = ("--data", str(tmp_path / "data"))
    for label in ("one", "two", "three"):
        told("token", "create", "--label", label, *data)
    export = tmp_path / "export.jsonl"
    export.write_text(told("audit", "export", *data))
    assert told("audit", "verify", "--export", str(export)) == "3 entries, chain intact\n"
    export.write_text(export.read_text().replace("two", "too"))
    with pytest.raises(BrokenChainError):
        told("audit", "verify", "--export", str(export))
    export.write_text('{"entry": {"seq": 1}}\n')
    with pytest.raises(ParameterError, match="not an exported audit log"):
        told("audit", "verify", "--export", str(export))


async def test_addresses_are_logged_only_if_the_operator_wants_them(tmp_path, relay):
    await send("GET", f"{relay.url}/v1/sites")  # unsigned, so refused and logged
    assert "127.0.0.1" not in relay.log.replace('"host": "127.0.0.1"', "")
    with RelayProcess.start(tmp_path / "data", environment={"SECAGG_RELAY_LOG_ADDRESSES": "true"}) as telling:
        await send("GET", f"{telling.url}/v1/sites")
        assert '"address": "127.0.0.1"' in telling.log


async def test_systemd_hears_that_the_relay_is_ready_alive_and_stopping(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with RelayProcess.start(tmp_path / "data", environment=environment) as relay:
            assert systemd.recv(200).startswith(b"READY=1\nSTATUS=listening")
            assert [systemd.recv(200) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            assert await asyncio.to_thread(relay.stop) == 0
        systemd.settimeout(1)
        heard = b""
        while heard != b"STOPPING=1":
            heard = systemd.recv(200)


async def test_the_level_of_the_log_changes_while_it_runs(relay):
    url = f"{relay.admin_url}/log-level"
    async with aiohttp.ClientSession() as session:
        for level, status in (("error", 200), ("loud", 400), ("info", 200)):
            async with session.put(url, data=level) as answer:
                assert answer.status == status
    assert (await send("GET", url)).json == {"level": "info"}


async def test_sigterm_ends_polls_and_exits_with_0(start_relay):
    with start_relay() as relay:
        scene = await Scene.on(relay)
        async with scene.client(scene.first) as first:
            poll = asyncio.create_task(first.messages(wait=30))
            await relay.polls_wait(1)
            async with asyncio.timeout(20):  # less than it would have waited
                assert await asyncio.to_thread(relay.stop) == 0
                assert await poll == []
        events = [json.loads(line)["event"] for line in relay.log.splitlines()]
        assert "stopping" in events
        assert events[-1] == "stopped"


def test_the_data_folder_is_private(relay):
    for path in [relay.data, *relay.data.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.fixture(scope="module")
def strict_relay(tmp_path_factory):
    limits = {"SECAGG_RELAY_BODY_GRACE_S": "0.5", "SECAGG_RELAY_BODY_MIN_RATE": "1000"}
    with RelayProcess.start(tmp_path_factory.mktemp("strict") / "data", environment=limits) as relay:
        yield asyncio.run(Scene.on(relay))


async def by_socket(url: str, head: str, pieces, pause_s: float) -> bytes:
    """Send a head and then pieces of a body with pauses; return the answer, which does not wait for all."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(head.encode())

    async def trickle() -> None:
        for piece in pieces:
            await asyncio.sleep(pause_s)
            writer.write(piece)
            await writer.drain()

    sending = asyncio.create_task(trickle())
    answer = await asyncio.wait_for(reader.read(), 20)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    writer.close()
    return answer


def head_of(method: str, path: str, headers: dict[str, str], length: int) -> str:
    lines = [f"{method} {path} HTTP/1.1", "Host: relay", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""])


async def test_a_slow_body_is_cut_off(strict_relay):
    scene = strict_relay
    path = f"/v1/runs/{scene.run}/messages?to=all"
    body = scene.frame(scene.coordinator, body=bytes(5000))
    headers = Signature.of(scene.coordinator).sign("POST", f"http://relay{path}", body)
    pieces = [body[at : at + 10] for at in range(0, len(body), 10)]
    answer = await by_socket(scene.relay.url, head_of("POST", path, headers, len(body)), pieces, 0.05)
    assert b"408" in answer.splitlines()[0]
    assert b"urn:secagg:problem:too-slow" in answer


async def test_a_body_without_a_right_signature_is_not_awaited(strict_relay):
    scene = strict_relay
    path = f"/v1/runs/{scene.run}/messages?to=all"
    forged = Signature.of(scene.first, key_id="A" * 43).sign("POST", f"http://relay{path}", b"")
    for headers, problem in (({}, b"unsigned"), (forged, b"bad-signature")):
        answer = await by_socket(scene.relay.url, head_of("POST", path, headers, 4 << 20), [], 1)
        assert b"401" in answer.splitlines()[0]
        assert problem in answer


async def test_a_body_over_the_limit_is_not_read(strict_relay):
    scene = strict_relay
    path = f"/v1/projects/{scene.project}/runs/{scene.run}"
    headers = Signature.of(scene.coordinator).sign("PUT", f"http://relay{path}", b"")
    answer = await by_socket(scene.relay.url, head_of("PUT", path, headers, 1 << 40), [], 1)
    assert b"413" in answer.splitlines()[0]


async def test_a_body_that_ends_early(strict_relay):
    scene = strict_relay
    path = f"/v1/runs/{scene.run}/messages?to=all"
    body = scene.frame(scene.coordinator)
    headers = Signature.of(scene.coordinator).sign("POST", f"http://relay{path}", body)
    place = urlsplit(scene.relay.url)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(head_of("POST", path, headers, len(body)).encode() + body[:20])
    await writer.drain()
    writer.close()
    async with scene.client(scene.first) as first:
        assert await first.messages() == []


async def test_compressed_and_unwanted_bodies(shared_scene):
    scene = shared_scene
    url = f"{scene.relay.url}/v1/runs/{scene.run}/messages?to=all"
    bomb = {"Content-Encoding": "gzip"}
    answer = await send("POST", url, b"\x1f\x8b", signature=Signature.of(scene.coordinator), headers=bomb)
    assert answer.problem == "bad-request"
    listing = f"{scene.relay.url}/v1/sites"
    assert (await send("GET", listing, b"x", signature=Signature.of(scene.first))).problem == "too-large"
    assert (await send("GET", f"{listing}?x=1", signature=Signature.of(scene.first))).problem == "bad-request"


async def test_answers_are_not_cached_and_say_no_version(relay):
    answer = await send("GET", f"{relay.url}/livez")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "secagg-relay"


async def test_a_locked_database_is_503_and_recovers(tmp_path):
    """Another process holds the write lock: refused with Retry-After, not lost, not 500; reading goes on."""
    with RelayProcess.start(tmp_path / "data", environment={"SECAGG_RELAY_DATABASE_WAIT_S": "0.3"}) as relay:
        scene = await Scene.on(relay)
        holder = sqlite3.connect(relay.data / FILE_NAME, isolation_level=None)
        url = f"{relay.url}/v1/runs/{scene.run}/messages?to=all"
        holder.execute("BEGIN IMMEDIATE")
        posting = [
            send("POST", url, scene.frame(scene.coordinator), signature=Signature.of(scene.coordinator))
            for _ in range(4)  # the first waits for the lock, the others for their turn
        ]
        for answer in await asyncio.gather(*posting):
            assert (answer.status, answer.problem) == (503, "unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        assert (await send("GET", f"{relay.url}/v1/sites", signature=Signature.of(scene.first))).status == 200
        await answers(f"{relay.admin_url}/readyz", 503)
        assert 'secagg_relay_faults_total{cause="busy"} 4.0' in (await relay.metrics())
        holder.close()
        async with scene.client(scene.coordinator) as lead:
            assert await lead.post_message(scene.run, None, scene.frame(scene.coordinator)) > 0
        await answers(f"{relay.url}/readyz", 200)


async def answers(url: str, status: int) -> None:
    """Return when the relay, which keeps what it found for a second, gives this answer."""
    async with asyncio.timeout(30):
        while (await send("GET", url)).status != status:  # noqa: ASYNC110  # it is another process's
            await asyncio.sleep(0.05)
