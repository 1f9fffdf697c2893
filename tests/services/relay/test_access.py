"""Who may do what: every declared endpoint by everybody, and nothing that is not declared."""

import json
import os
from hashlib import sha256
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from relay.access import Access
from relay.app import create_app
from relay.config import RelayConfig
from relay.openapi import document
from relay.problem import KINDS
from relay.route import Route
from relay.routes import ROUTES
from relay.transitions import RunState
from relay.wire import to_base64url
from secagg.identity import Identity
from tests.support.relay_requests import Signature, send

ACTORS = ("unsigned", "foreign signature", "unknown site", "outsider", "rival", "participant", "coordinator")

BY_MEMBERSHIP = {"outsider": "not-found", "rival": "not-found", "participant": "ok", "coordinator": "ok"}
BY_LEAD = BY_MEMBERSHIP | {"participant": "forbidden"}

# What the rule says to a site that is known and whose signature is right.
EXPECTED = {
    Access.SITE: dict.fromkeys(("outsider", "rival", "participant", "coordinator"), "ok"),
    Access.COORDINATOR: {"outsider": "forbidden", "rival": "ok", "participant": "forbidden", "coordinator": "ok"},
    Access.PROJECT_LEADER: BY_LEAD,
    Access.PROJECT_READER: BY_MEMBERSHIP,
    Access.PROJECT_INVITED: BY_MEMBERSHIP | {"coordinator": "forbidden"},
    Access.RUN_LEADER: BY_LEAD,
    Access.RUN_READER: BY_MEMBERSHIP,
    Access.RUN_WRITER: BY_MEMBERSHIP,
    Access.MESSAGE_PARTY: BY_MEMBERSHIP,
    Access.BLOB_SENDER: BY_LEAD,
    Access.BLOB_PARTY: BY_MEMBERSHIP,
}


def expected(route: Route, actor: str) -> str:
    if route.access is Access.PUBLIC:
        return "ok"
    if actor == "unsigned":
        return "unsigned"
    if actor == "foreign signature":
        return "bad-signature"
    if route.access is Access.ENROLLING:
        return "ok" if actor == "unknown site" else "conflict"
    if actor == "unknown site":
        return "unknown-site"
    return EXPECTED[route.access][actor]


STATUSES = {
    operation["operationId"]: operation["responses"]
    for path in document(ROUTES)["paths"].values()
    for operation in path.values()
}


class Requests:
    """A request for every endpoint that succeeds for whoever is allowed to make it."""

    def __init__(self, scene, identity: Identity) -> None:
        self.scene = scene
        self.me = identity
        self.leads = identity is scene.coordinator

    async def enrol(self):
        body = {"token": self.scene.relay.token(), "name": uuid4().hex, "key": to_base64url(self.me.public)}
        return "/v1/sites", body

    async def relay(self):
        return "/v1/relay", b""

    async def sites(self):
        return "/v1/sites", b""

    async def heartbeat(self):
        return "/v1/heartbeat", b""

    async def create_project(self):
        return f"/v1/projects/{uuid4()}", {"name": "another", "terms": ""}

    async def projects(self):
        return "/v1/projects", b""

    async def project(self):
        return f"/v1/projects/{self.scene.project}", b""

    async def invite(self):
        return f"/v1/projects/{self.scene.project}/members/{to_base64url(self.scene.second.public)}", b""

    async def answer(self):
        return f"/v1/projects/{self.scene.project}/answer", {"state": "confirmed", "roster_version": 1}

    async def seal_roster(self):
        sites = [to_base64url(site.public) for site in (self.scene.first, self.scene.second)]
        return f"/v1/projects/{self.scene.project}/roster", {"sites": sites}

    async def close_project(self):
        return f"/v1/projects/{await self.scene.make_project(uuid4())}/close", b""

    async def create_run(self):
        return f"/v1/projects/{self.scene.project}/runs/{uuid4()}", {"name": "another"}

    async def runs(self):
        return f"/v1/projects/{self.scene.project}/runs", b""

    async def run(self):
        return f"/v1/runs/{self.scene.run}", b""

    async def change_run(self):
        run = await self.scene.make_run(uuid4(), RunState.CREATED)
        return f"/v1/runs/{run}/state", {"from": "created", "to": "preparing"}

    async def post_message(self):
        to = "all" if self.leads else to_base64url(self.scene.coordinator.public)
        frame = self.scene.frame(self.me, round_=int.from_bytes(os.urandom(3), "big"))
        return f"/v1/runs/{self.scene.run}/messages?to={to}", frame

    async def messages(self):
        return "/v1/messages?wait=0", b""

    async def frame(self):
        async with self.scene.client(self.scene.coordinator) as lead:
            number = await lead.post_message(self.scene.run, None, self.scene.frame(self.scene.coordinator))
        return f"/v1/messages/{number}", b""

    async def announce(self):
        to = "all" if self.leads else to_base64url(self.scene.coordinator.public)
        body = {"size": 3, "digest": to_base64url(sha256(os.urandom(8)).digest()), "to": to}
        return f"/v1/runs/{self.scene.run}/blobs", body

    async def write_blob(self):
        run, data = self.scene.run, os.urandom(8)
        announcement = {"size": 8, "digest": to_base64url(sha256(data).digest()), "to": "all"}
        url = f"{self.scene.relay.url}/v1/runs/{run}/blobs"
        made = await send("POST", url, announcement, signature=Signature.of(self.scene.coordinator))
        return f"/v1/blobs/{made.json['id']}?offset=0", data

    async def read_blob(self):
        data = os.urandom(8)
        async with self.scene.client(self.scene.coordinator) as lead:
            blob = await lead.upload(self.scene.run, data, size=8, digest=sha256(data).digest(), to=None)
        return f"/v1/blobs/{blob}", b""

    async def livez(self):
        return "/livez", b""

    async def readyz(self):
        return "/readyz", b""

    async def openapi(self):
        return "/v1/openapi.json", b""


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_the_matrix(shared_scene, route):
    scene = shared_scene
    stranger = Identity(os.urandom(32))
    who = {
        "unsigned": scene.first,
        "foreign signature": scene.first,
        "unknown site": stranger,
        "outsider": scene.outsider,
        "rival": scene.rival,
        "participant": scene.first,
        "coordinator": scene.coordinator,
    }
    for actor in ACTORS:
        path, body = await getattr(Requests(scene, who[actor]), route.name)()
        signature = None if actor == "unsigned" else Signature.of(who[actor])
        if actor == "foreign signature":  # another site signs, in this one's name
            signature = Signature.of(scene.second, key_id=to_base64url(scene.first.public))
        answer = await send(route.method, f"{scene.relay.url}{path}", body, signature=signature)
        assert str(answer.status) in STATUSES[route.name], "a status that the description does not declare"
        got = "ok" if answer.status in route.answers else answer.problem
        assert got == expected(route, actor), f"{route.name} by {actor}: {answer.status} {answer.body[:300]!r}"


def test_every_rule_is_in_the_matrix():
    assert set(EXPECTED) | {Access.PUBLIC, Access.ENROLLING} == set(Access)


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
