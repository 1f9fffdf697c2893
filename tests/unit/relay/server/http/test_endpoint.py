"""The cost of a request before the relay knows that it is permitted."""

import asyncio
import json
import os
import time
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestServer
from sqlalchemy import select

from relay.server.app import RELAY, create_app
from relay.server.core.config import RelayConfig
from relay.server.process.readiness import Readiness
from relay.server.store import schema, sites
from secagg.identity import Identity
from tests.support.relay_requests import Signature, new_nonce, send


@pytest.fixture
async def served(tmp_path):
    """A relay in this process, and where it is."""
    app = create_app(RelayConfig(data=tmp_path / "data"))
    async with TestServer(app) as server:
        yield app[RELAY], str(server.make_url("")).rstrip("/")


async def test_those_who_ask_at_once_share_one_look(served):
    relay, _ = served
    written = []

    class Counting:
        async def write(self, work):
            written.append(work)
            return await relay.database.write(work)

    readiness = Readiness(relay.config, Counting(), relay.blobs)
    assert await asyncio.gather(*(readiness() for _ in range(20))) == [None] * 20
    assert len(written) == 1


async def test_made_up_runs_get_no_turns(served, monkeypatch):
    """A turn of its own for each would let one site go before all others."""
    relay, url = served
    identity = await enrolled(relay)
    parties = []

    @asynccontextmanager
    async def turn(party, wait_s):
        parties.append(party)
        yield

    monkeypatch.setattr(relay.write_queue, "turn", turn)
    for _ in range(3):
        answer = await send(
            "POST",
            f"{url}/v1/runs/{uuid4()}/report",
            {"from": "waiting", "to": "ready"},
            signature=Signature.of(identity),
        )
        assert answer.problem == "not-found"
    assert parties == []
    for _ in range(2):  # strangers with keys of their own share one turn
        stranger = Identity(os.urandom(32))
        await send(
            "POST",
            f"{url}/v1/sites/{'A' * 43}/successor",
            {"handover": "A" * 86},
            signature=Signature.of(stranger),
        )
    assert len(set(parties)) == 1


async def test_strangers_do_not_set_the_clock(served):
    relay, url = served
    assert not relay.monitor._offsets
    for _ in range(3):
        answer = await send("GET", f"{url}/v1/sites", signature=Signature.of(Identity(os.urandom(32))))
        assert answer.problem == "unknown-site"
        wanted = {"token": "secagg-join-" + "A" * 43, "name": "x", "key": "A" * 43}
        await send("POST", f"{url}/v1/sites", wanted, signature=Signature.of(Identity(os.urandom(32))))
    assert not relay.monitor._offsets


async def test_the_body_of_a_refused_request_is_not_read(served, monkeypatch):
    relay, url = served
    identity = await enrolled(relay)
    held = []
    room = relay.bodies.room
    monkeypatch.setattr(relay.bodies, "room", lambda site, size: (held.append(size), room(site, size))[1])
    blob = f"{url}/v1/blobs/{uuid4()}?offset=0"
    assert (await send("PUT", blob, bytes(100_000), signature=Signature.of(identity))).problem == "not-found"
    assert held == []
    body = {"name": "x", "terms": ""}
    made = await send("PUT", f"{url}/v1/projects/{uuid4()}", body, signature=Signature.of(identity))
    assert (made.status, held) == (201, [len(json.dumps(body))])


async def test_whole_projects_are_not_remembered(served):
    """Else every harmless repetition would leave a copy of all tasks and terms."""
    relay, url = served
    identity, nonce = await enrolled(relay), new_nonce()
    place = f"{url}/v1/projects/{uuid4()}"
    body = {"name": "x", "terms": "A" * 40_000}
    made = await send("PUT", place, body, signature=Signature.of(identity, nonce=nonce))
    closed = await send("POST", f"{place}/close", signature=Signature.of(identity))
    assert (made.status, closed.status) == (201, 200)
    kept = await relay.database.read(lambda db: db.scalars(select(schema.nonce.c.answer)).all())
    assert [len(answer) for answer in kept] == [0, 0]
    again = await send("PUT", place, body, signature=Signature.of(identity, nonce=nonce))
    assert (again.status, again.json) == (201, closed.json)


async def enrolled(relay) -> Identity:
    identity = Identity(os.urandom(32))
    who = {"key": identity.public, "name": uuid4().hex, "role": "coordinator"}
    await relay.database.write(lambda db: sites.add(db, now=time.time(), **who))
    return identity
