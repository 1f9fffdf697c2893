"""Only declared endpoints are served, and each declaration names who may call it (`test_roles` tries everybody)."""

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from relay.client.errors import RelayError
from relay.server.app import create_app
from relay.server.core.config import RelayConfig
from relay.server.core.problem import KINDS
from relay.server.http.access import Access
from relay.server.http.route import Route
from relay.server.store import sites
from tests.support.relay_requests import Signature, send


def test_no_route_without_a_rule():
    with pytest.raises(TypeError, match="access"):
        Route(name="x", method="GET", path="/x", summary="", answers={}, reads=lambda call, db: None)
    with pytest.raises(TypeError, match="who may call it"):
        Route(name="x", method="GET", path="/x", summary="", access=None, answers={}, reads=lambda call, db: None)
    with pytest.raises(TypeError, match="read, write or stream"):
        Route(name="x", method="GET", path="/x", summary="", access=Access.SITE, answers={})


async def test_what_is_not_declared_is_not_served(tmp_path):
    """A handler that gets into the router by other means is there, and nobody may call it."""

    async def secret(request):
        return web.Response(text="everything")

    app = create_app(RelayConfig(data=tmp_path / "data"))
    app.router.add_get("/v1/backdoor", secret)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/v1/backdoor")
        assert answer.status == 403
        assert json.loads(await answer.read())["type"] == "urn:secagg:problem:forbidden"


async def test_paths_and_methods_that_do_not_exist(shared_scene):
    url = shared_scene.relay.url
    assert (await send("GET", f"{url}/v1/nothing")).problem == "not-found"
    assert (await send("GET", f"{url}/metrics")).problem == "not-found"  # on the admin port alone
    refused = await send("DELETE", f"{url}/v1/sites")
    assert refused.problem == "method-not-allowed"
    assert "GET, POST" in refused.json["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/projects/not-a-uuid",
        "/v1/projects/{UPPER}",
        "/v1/runs/{braced}",
        "/v1/runs/..%2f..%2fsites",
        "/v1/messages/-1",
        "/v1/messages/1e3",
        "/v1/messages/99999999999999999999999",
        "/v1/messages/%D9%A1",
        "/v1/blobs/%00",
    ],
)
async def test_odd_names_are_not_found(shared_scene, path):
    path = path.format(UPPER=str(shared_scene.project).upper(), braced=f"{{{shared_scene.run}}}")
    answer = await send(
        "GET",
        shared_scene.relay.url + path.replace("{", "%7B").replace("}", "%7D"),
        signature=Signature.of(shared_scene.first),
    )
    assert answer.problem in {"not-found", "bad-request"}


def test_every_problem_has_its_own_name():
    assert len({kind.name for kind in KINDS}) == len(KINDS)


async def test_who_was_let_in_a_moment_ago_is_looked_up_again_by_the_deed(scene):
    """The look before the body is remembered for seconds; a right that ended meanwhile writes nothing."""
    async with scene.client(scene.first) as first, scene.client(scene.second) as second:
        for site, identity in ((first, scene.first), (second, scene.second)):
            await site.post_message(scene.run, scene.coordinator.public, scene.frame(identity))
        async with scene.client(scene.coordinator) as lead:
            await lead.remove_member(scene.project, scene.first.public)
        scene.relay.transact(lambda db: sites.end(db, scene.second.public, name="gone", ending="revoked", now=1.0))
        with pytest.raises(RelayError, match="not-found"):
            await first.post_message(scene.run, scene.coordinator.public, scene.frame(scene.first, round_=2))
        with pytest.raises(RelayError, match="revoked"):
            await second.post_message(scene.run, scene.coordinator.public, scene.frame(scene.second, round_=2))
