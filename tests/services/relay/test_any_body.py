"""Whatever a site sends, it gets a response that the description declares, and never a 5xx."""

import asyncio
import json
import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.api.wire import to_base64url
from relay.server.http.access import Access
from relay.server.http.body import Json
from relay.server.http.openapi import document
from relay.server.routes import ROUTES
from relay.server.store import sites
from secagg.identity import Identity
from tests.support.relay_requests import Signature, send
from tests.support.relay_scene import Scene

WITH_BODY = [route for route in ROUTES if route.body is not None and route.name != "enrol"]
MEMBERS = sorted(
    {name for route in ROUTES if isinstance(route.body, Json) for name in route.body.model.__annotations__}
)
WORDS = [*MEMBERS, "from", "joined", "confirmed", "created", "preparing", "all", "A" * 43, "", "\0", "\U0001f600"]

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(WORDS)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=8,
)
bodies = (
    st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()) | values.map(repr).map(str.encode)
)


@pytest.fixture(scope="module")
def own_scene(relay):
    """Nobody else's, as some bodies are well-formed and change something; and an operator."""
    scene, operator = asyncio.run(Scene.on(relay)), Identity(os.urandom(32))
    who = {"key": operator.public, "name": operator.public.hex()[:12], "role": "operator"}
    relay.transact(lambda db: sites.add(db, now=time.time(), **who))
    return scene, operator


@pytest.mark.parametrize("route", WITH_BODY, ids=lambda route: route.name)
@given(body=bodies)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_body(own_scene, route, body):
    scene, operator = own_scene
    path = route.path.format(
        project=scene.project, run=scene.run, key=to_base64url(scene.first.public), blob=scene.run, message=1, token=1
    )
    query = {"post_message": "?to=all", "write_blob": "?offset=0"}.get(route.name, "")
    if route.access is Access.OPERATOR:  # whoever may not make a request is refused before its body is read
        signer = operator
    else:
        signer = scene.first if route.name in {"label_site", "answer", "report"} else scene.coordinator
    answer = asyncio.run(send(route.method, f"{scene.relay.url}{path}{query}", body, signature=Signature.of(signer)))
    declared = document(ROUTES)["paths"][route.path][route.method.lower()]["responses"]
    assert str(answer.status) in declared
    assert answer.status < 500
    if answer.status >= 400:
        assert answer.problem
