"""Attacks on request signatures: each is refused by name, and none has an effect."""

import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from http_message_signatures.algorithms import HMAC_SHA256

from relay.api.signing import COVERED, COVERED_BEFORE
from relay.api.wire import to_base64url
from tests.support.relay_requests import PROBLEM, Signature, new_nonce, send, send_raw


def now(**shift) -> datetime:
    return datetime.now(UTC) + timedelta(**shift)


@pytest.fixture
def url(shared_scene):
    return f"{shared_scene.relay.url}/v1/projects"


async def test_another_library_can_sign(shared_scene, url):
    """The signature base is RFC 9421's: requests signed by pyca/cryptography's Ed25519 are taken."""
    assert (await send("GET", url, signature=Signature.of(shared_scene.first))).status == 200


@pytest.mark.parametrize("seconds", [-59, 0, 59])
async def test_a_time_within_the_window(shared_scene, url, seconds):
    signature = Signature.of(shared_scene.first, created=now(seconds=seconds))
    assert (await send("GET", url, signature=signature)).status == 200


@pytest.mark.parametrize("shift", [{"seconds": -63}, {"seconds": 63}, {"days": -400}, {"days": 400}])
async def test_a_time_out_of_the_window(shared_scene, url, shift):
    signature = Signature.of(shared_scene.first, created=now(**shift))
    answer = await send("GET", url, signature=signature)
    assert (answer.status, answer.problem) == (401, "stale-signature")


@pytest.mark.parametrize("missing", COVERED_BEFORE)
async def test_a_component_that_is_not_covered(shared_scene, url, missing):
    covered = [name for name in COVERED if name != missing]
    signature = Signature.of(shared_scene.first, covered=covered)
    headers = signature.sign("GET", url, b"") if missing != "content-digest" else _without_digest(signature, url)
    assert (await send_raw("GET", url, b"", headers)).problem == "bad-signature"


def _without_digest(signature: Signature, url: str) -> dict[str, str]:
    from http_message_signatures import HTTPMessageSigner

    from relay.api.signing import RequestHead

    real = HTTPMessageSigner.sign

    def sign_without_body(self, head, **options):
        options["body"] = None
        real(self, head, **options)

    head = RequestHead("GET", url, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HTTPMessageSigner, "sign", sign_without_body)
        head.headers.update(signature.sign("GET", url, b""))
    return dict(head.headers)


@pytest.mark.parametrize(
    "change",
    [
        {"covered": (*COVERED, "@scheme")},
        {"covered": (*COVERED_BEFORE, "@scheme")},
        {"tag": "another-application"},
        {"tag": None},
        {"label": "sig1"},
        {"include_alg": False},
        {"algorithm": HMAC_SHA256},
        {"nonce": None},
        {"nonce": "short"},
        {"nonce": "A" * 200},
        {"nonce": "!" * 30},
        {"key_id": "me"},
        {"key_id": "A" * 43 + "="},
        {"key_id": to_base64url(bytes(31))},
        {"key_id": to_base64url(bytes(32))},  # a point of small order, for which anyone could sign
    ],
    ids=str,
)
async def test_a_signature_of_another_form(shared_scene, url, change):
    signature = Signature.of(shared_scene.first, **change)
    answer = await send("GET", url, signature=signature)
    assert (answer.status, answer.problem) == (401, "bad-signature")


@pytest.mark.parametrize("name", ["Signature", "Signature-Input", "Content-Digest"])
async def test_a_header_that_is_missing_or_broken(shared_scene, url, name):
    headers = Signature.of(shared_scene.first).sign("GET", url, b"")
    without = {key: value for key, value in headers.items() if key != name}
    for changed in (without, headers | {name: "((("}, headers | {name: "secagg=:AAAA:"}, headers | {name: ""}):
        assert (await send_raw("GET", url, b"", changed)).status == 401


async def test_a_request_that_was_changed(shared_scene):
    base = f"{shared_scene.relay.url}/v1/messages"
    headers = Signature.of(shared_scene.first).sign("GET", f"{base}?wait=0", b"")
    assert (await send_raw("GET", f"{base}?wait=0", b"", headers)).status == 200
    for method, url in (
        ("POST", f"{base}?wait=0"),
        ("GET", f"{base}?wait=0&after=1"),
        ("GET", f"{base}?wait=00"),
        ("GET", base),
        ("GET", f"{base}/1?wait=0"),
        ("GET", f"{shared_scene.relay.url}/v1//messages?wait=0"),
        ("GET", f"{shared_scene.relay.url}/v1/%6Dessages?wait=0"),
    ):
        answer = await send_raw(method, url, b"", headers)
        assert answer.problem in {"bad-signature", "method-not-allowed", "not-found"}, (method, url)


async def test_a_body_that_was_changed(shared_scene):
    url = f"{shared_scene.relay.url}/v1/projects/{uuid4()}"
    body = b'{"name": "honest", "terms": ""}'
    headers = Signature.of(shared_scene.coordinator).sign("PUT", url, body)
    for other in (b'{"name": "forged", "terms": ""}', b"", body + b" "):
        answer = await send_raw("PUT", url, other, headers)
        assert (answer.status, answer.problem) == (422, "bad-digest")
    assert (await send("GET", url, signature=Signature.of(shared_scene.coordinator))).problem == "not-found"


async def test_a_digest_that_was_changed_with_the_body(shared_scene):
    url = f"{shared_scene.relay.url}/v1/projects/{uuid4()}"
    honest = Signature.of(shared_scene.coordinator).sign("PUT", url, b'{"name": "honest", "terms": ""}')
    forged = Signature.of(shared_scene.rival).sign("PUT", url, b'{"name": "forged", "terms": ""}')
    headers = honest | {"Content-Digest": forged["Content-Digest"]}
    assert (await send_raw("PUT", url, b'{"name": "forged", "terms": ""}', headers)).problem == "bad-signature"


async def test_two_signatures(shared_scene, url):
    """A second signature beside the right one, by a stranger: only the first one counts."""
    right = Signature.of(shared_scene.first).sign("GET", url, b"")
    stranger = Signature(os.urandom(32), tag="other", label="other").sign("GET", url, b"")
    both = right | {name: f"{right[name]}, {stranger[name]}" for name in ("Signature", "Signature-Input")}
    assert (await send_raw("GET", url, b"", both)).status == 200
    swapped = right | {name: f"{right[name]}, {right[name]}" for name in ("Signature", "Signature-Input")}
    assert (await send_raw("GET", url, b"", swapped)).problem == "bad-signature"


async def test_a_repeated_write_has_one_effect(scene):
    """The state change could not happen twice: a second one would be a conflict."""
    url = f"{scene.relay.url}/v1/runs/{scene.run}/state"
    change = {"from": "running", "to": "paused"}
    nonce = new_nonce()
    first = await send("POST", url, change, signature=Signature.of(scene.coordinator, nonce=nonce))
    again = await send(
        "POST", url, change, signature=Signature.of(scene.coordinator, nonce=nonce, created=now(seconds=5))
    )
    assert (first.status, first.body) == (again.status, again.body) == (200, first.body)
    fresh = await send("POST", url, change, signature=Signature.of(scene.coordinator))
    assert fresh.problem == "conflict"
    assert fresh.json["state"] == "paused"


async def test_a_nonce_belongs_to_one_request(scene):
    url = f"{scene.relay.url}/v1/runs/{scene.run}/state"
    nonce = new_nonce()
    change = {"from": "running", "to": "paused"}
    assert (await send("POST", url, change, signature=Signature.of(scene.coordinator, nonce=nonce))).status == 200
    other_body = {"from": "running", "to": "cancelled"}
    other_path = f"{scene.relay.url}/v1/projects/{scene.project}/close"
    for place, body in ((url, other_body), (other_path, b"")):
        answer = await send("POST", place, body, signature=Signature.of(scene.coordinator, nonce=nonce))
        assert (answer.status, answer.problem) == (409, "nonce-reused")
    # another site's nonces are its own
    mine = await send(
        "PUT",
        f"{scene.relay.url}/v1/projects/{uuid4()}",
        {"name": "x", "terms": ""},
        signature=Signature.of(scene.rival, nonce=nonce),
    )
    assert mine.status == 201


async def test_a_refused_write_leaves_no_nonce(scene):
    url = f"{scene.relay.url}/v1/runs/{scene.run}/state"
    nonce = new_nonce()
    early = await send(
        "POST", url, {"from": "paused", "to": "running"}, signature=Signature.of(scene.coordinator, nonce=nonce)
    )
    assert early.problem == "conflict"
    async with scene.client(scene.coordinator) as lead:
        await lead.change_run(scene.run, "running", "paused")
    later = await send(
        "POST", url, {"from": "paused", "to": "running"}, signature=Signature.of(scene.coordinator, nonce=nonce)
    )
    assert later.status == 200


async def test_a_kept_problem_is_repeated_too(scene):
    """A second frame in a slot leaves an audit entry; its retry gets the same document, with the same instance."""
    to = to_base64url(scene.coordinator.public)
    url = f"{scene.relay.url}/v1/runs/{scene.run}/messages?to={to}"
    await send("POST", url, scene.frame(scene.first), signature=Signature.of(scene.first))
    nonce = new_nonce()
    other = scene.frame(scene.first, body=b"other")
    one = await send("POST", url, other, signature=Signature.of(scene.first, nonce=nonce))
    two = await send("POST", url, other, signature=Signature.of(scene.first, nonce=nonce))
    assert one.problem == two.problem == "slot-taken"
    assert one.body == two.body
    assert two.headers["Content-Type"] == PROBLEM
