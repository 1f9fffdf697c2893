"""Data that the relay receives but may not show: markers in bodies, payloads, terms and tokens never reach its logs."""

import os
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from uuid import uuid4

import pytest

from relay.api.wire import to_base64url
from relay.client.transport import RelayError
from secagg.identity import Identity
from tests.support.relay_requests import Signature, send
from tests.support.relay_scene import Scene

MARKER = b"CANARY-of-a-patient-4711"


def spellings(marker: bytes) -> list[bytes]:
    """A marker plain, in hex, and in base64 at each of the three alignments."""
    found = [marker, marker.hex().encode(), marker.hex().upper().encode()]
    shifted = [bytes(shift) + marker for shift in range(3)]
    return found + [encode(data)[4:-4] for data in shifted for encode in (b64encode, urlsafe_b64encode)]


def shows(log: bytes, marker: bytes) -> bool:
    return any(spelling in log for spelling in spellings(marker))


async def test_no_marker_in_the_logs(start_relay):
    with start_relay(environment={"SECAGG_RELAY_LOG_LEVEL": "debug"}) as relay:
        scene = await Scene.on(relay)
        token = relay.token()
        payload = MARKER * 50
        async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
            await lead.create_project(uuid4(), "with terms", MARKER)
            to = scene.coordinator.public
            blob = await first.upload(scene.run, payload, size=len(payload), digest=sha256(payload).digest(), to=to)
            await first.post_message(scene.run, to, scene.frame(scene.first, body=MARKER), blob)
            with pytest.raises(RelayError):  # refused ones are logged as well
                await first.post_message(scene.run, to, scene.frame(scene.first, body=MARKER + b"2"))
        async with scene.client(Identity(os.urandom(32))) as newcomer:
            await newcomer.enrol(token, "newcomer")
        url = f"{relay.url}/v1/runs/{scene.run}/messages?to={to_base64url(to)}"
        broken = scene.frame(scene.second, body=MARKER)[:-1]
        assert (await send("POST", url, broken, signature=Signature.of(scene.second))).problem == "bad-frame"
        odd = {"name": "odd", "terms": "!" + MARKER.decode()}
        answer = await send("PUT", f"{relay.url}/v1/projects/{uuid4()}", odd, signature=Signature.of(scene.coordinator))
        assert answer.problem == "bad-request"
        assert not shows(answer.body, MARKER)
        relay.stop()
        log = relay.log_file.read_bytes()
        assert not shows(log, MARKER)
        assert token.encode() not in log
        assert log.count(b'"event": "request"') == 8  # there is a log


def test_the_search_finds_what_leaks():
    for shift in range(6):
        assert shows(b"x" * 7 + b64encode(bytes(shift) + MARKER + b"more"), MARKER)
    assert shows(f"frame={MARKER!r}".encode(), MARKER)
    assert shows(MARKER.hex().encode(), MARKER)
    assert not shows(b"nothing", MARKER)
