"""A relay moves from SQLite to PostgreSQL: same rows, same answers, continued numbering, and no partial moves."""

import asyncio
import json
import os
import sqlite3
import time
from hashlib import sha256

import pytest
from sqlalchemy import delete, func, select
from typer.testing import CliRunner

from relay.api.wire import to_base64url
from relay.server.commands.cli import app
from relay.server.core.config import FILE_NAME
from relay.server.core.storage_errors import DatabaseBusyError
from relay.server.store import audit, schema
from relay.server.store.migrate import MovedError
from secagg.errors import ParameterError
from tests.support.relay_process import RelayProcess, apart
from tests.support.relay_requests import Signature, send
from tests.support.relay_scene import Scene


def move(relay: RelayProcess, to: str) -> dict:
    command = ["move", "--to", to, "--data", str(relay.data), "--json"]
    return json.loads(apart(lambda: CliRunner().invoke(app, command, catch_exceptions=False).stdout))


def rows(relay: RelayProcess) -> int:
    return relay.transact(lambda db: db.scalar(select(func.count()).select_from(schema.site)))


async def test_a_relay_goes_on_in_postgresql(tmp_path, postgres):
    with RelayProcess.start(tmp_path / "data") as relay:
        scene = await Scene.on(relay)
        to, payload = scene.coordinator.public, os.urandom(100)
        async with scene.client(scene.first) as first, scene.client(scene.coordinator) as lead:
            blob = await first.upload(scene.run, payload, size=100, digest=sha256(payload).digest(), to=to)
            await first.post_message(scene.run, to, scene.frame(scene.first), blob)
            last = await first.post_message(scene.run, to, scene.frame(scene.first, kind=2))
            before = await lead.messages()
        relay.token()
        await asyncio.to_thread(relay.stop)
        # the newest message is gone, and its number is still not given again
        relay.transact(lambda db: db.execute(delete(schema.delivery).where(schema.delivery.c.message == last)))
        relay.transact(lambda db: db.execute(delete(schema.message).where(schema.message.c.id == last)))
        head = relay.transact(audit.head)

        url = postgres.empty()
        moved = move(relay, url)
        assert moved["tables"]["site"]["rows"] == rows(relay)
        assert moved["tables"]["message"]["rows"] == 1

        relay.database = url
        await asyncio.to_thread(relay.restart)
        assert relay.transact(audit.head)[0] >= head[0]
        assert relay.transact(lambda db: audit.verify(db, head[1])) >= head[0]
        async with scene.client(scene.first) as first, scene.client(scene.coordinator) as lead:
            assert await lead.messages() == before[:1]
            assert b"".join([piece async for piece in lead.download(blob)]) == payload
            assert await first.post_message(scene.run, to, scene.frame(scene.first, kind=3)) > last


async def test_a_relay_that_still_writes_and_a_target_that_is_not_empty_are_refused(tmp_path, postgres):
    relay = RelayProcess(tmp_path / "data")
    with RelayProcess.start(relay.data):
        pass
    await Scene.on(relay)
    holder = sqlite3.connect(relay.data / FILE_NAME, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    url = postgres.empty()
    with pytest.raises(DatabaseBusyError):
        move(relay, url)
    holder.close()
    move(relay, url)
    with pytest.raises(MovedError):
        move(relay, postgres.empty())
    other = RelayProcess(tmp_path / "other")
    with RelayProcess.start(other.data):
        pass
    with pytest.raises(ParameterError, match="already has sites"):
        move(other, url)
    with pytest.raises(ParameterError, match="contains no relay"):
        move(RelayProcess(tmp_path / "nothing"), url)


async def test_a_relay_that_ran_idle_during_the_move_acknowledges_nothing_more(tmp_path, postgres):
    with RelayProcess.start(tmp_path / "data") as relay:
        scene = await Scene.on(relay)
        async with scene.client(scene.first) as first:
            await first.heartbeat()
            with pytest.raises(ParameterError, match="a relay is serving from"):
                await asyncio.to_thread(move, relay, postgres.empty())
            await first.heartbeat()
            (relay.data / "serving").unlink()  # as a relay of an earlier release, which does not say that it serves
            await asyncio.to_thread(move, relay, postgres.empty())
        url = f"{relay.url}/v1/runs/{scene.run}/blobs"
        body = {"size": 1, "digest": "A" * 43, "to": to_base64url(scene.coordinator.public)}
        answer = await send("POST", url, body, signature=Signature.of(scene.first))
        assert (answer.status, answer.problem) == (503, "unavailable")
        assert "was moved to PostgreSQL" in relay.log
        with pytest.raises(AssertionError, match="was moved to PostgreSQL"):
            await asyncio.to_thread(relay.restart)


async def test_a_server_that_ends_idle_transactions_waits_for_a_long_move(tmp_path, postgres, monkeypatch):
    from relay.server.backup import move as module

    relay = RelayProcess(tmp_path / "data")
    with RelayProcess.start(relay.data):
        pass
    await Scene.on(relay)
    spell, slept = module._spelled, []

    def slowly(row):
        if not slept:
            slept.append(time.sleep(0.5))
        return spell(row)

    monkeypatch.setattr(module, "_spelled", slowly)
    monkeypatch.setattr("relay.server.store.postgres._IDLE", "100ms")
    assert move(relay, postgres.empty())["tables"]["site"]["rows"] == rows(relay)
    assert slept


async def test_a_copy_that_differs_is_not_kept(tmp_path, postgres, monkeypatch):
    from relay.server.backup import move as module

    relay = RelayProcess(tmp_path / "data")
    with RelayProcess.start(relay.data):
        pass
    await Scene.on(relay)
    url = postgres.empty()
    spell = module._spelled
    monkeypatch.setattr(module, "_spelled", lambda row: spell(row) + os.urandom(1))
    with pytest.raises(module.MoveError, match="or their content differs"):
        move(relay, url)
    assert rows(RelayProcess(tmp_path / "data", database=url)) == 0
