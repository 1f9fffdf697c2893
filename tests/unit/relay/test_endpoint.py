"""What a request costs before the relay knows that it may be made."""

import asyncio
import os
import time
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestServer

from relay.app import RELAY, create_app
from relay.config import RelayConfig
from relay.store import probe, sites
from secagg.identity import Identity
from tests.support.relay_requests import Signature, send


@pytest.fixture
async def served(tmp_path):
    """A relay in this process, and where it is."""
    app = create_app(RelayConfig(data=tmp_path / "data"))
    async with TestServer(app) as server:
        yield app[RELAY], str(server.make_url("")).rstrip("/")


async def test_those_who_ask_at_once_share_one_look(served, monkeypatch):
    relay, url = served
    relay.readiness._asked = 0.0  # the census has asked
    written = []
    write = probe.write
    monkeypatch.setattr(probe, "write", lambda db, *, now: (written.append(now), write(db, now=now)))
    answers = await asyncio.gather(*(send("GET", f"{url}/readyz") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len(written) == 1


async def test_made_up_runs_get_no_turns(served, monkeypatch):
    """A turn of its own for each would let one site go before all others."""
    relay, url = served
    identity = Identity(os.urandom(32))
    await relay.database.write(lambda db: sites.add(db, key=identity.public, name="site", role="site", now=time.time()))
    parties = []

    @asynccontextmanager
    async def turn(party, wait_s):
        parties.append(party)
        yield

    monkeypatch.setattr(relay.turns, "turn", turn)
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
    assert not relay.vitals._offsets
    for _ in range(3):
        answer = await send("GET", f"{url}/v1/sites", signature=Signature.of(Identity(os.urandom(32))))
        assert answer.problem == "unknown-site"
        wanted = {"token": "secagg-join-" + "A" * 43, "name": "x", "key": "A" * 43}
        await send("POST", f"{url}/v1/sites", wanted, signature=Signature.of(Identity(os.urandom(32))))
    assert not relay.vitals._offsets
