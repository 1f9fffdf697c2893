"""The access matrix: everybody calls every endpoint of the served description. An endpoint without a row is an error.

A row says for whom an endpoint works; all others get the refusal named in it. The rows are written from the
specification, independently of `relay.server.http.access`.
"""

import asyncio
import os
import time
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID, uuid4

import pytest

from relay.api.states import MemberState, RunState
from relay.api.wire import KEY_ROTATION, to_base64url
from relay.server.routes import ROUTES
from relay.server.store import projects, sites
from secagg.identity import Identity
from tests.support.relay_requests import Answer, Signature, send
from tests.support.relay_scene import Scene

SITES = {"outsider", "elsewhere", "invited", "left", "rival", "participant", "coordinator", "itself"}
ENROLLED = SITES | {"operator", "auditor"}
MEMBERS = {"invited", "participant", "coordinator"}
EVERYBODY = ENROLLED | {"unsigned", "foreign signature", "unknown", "revoked"}

PUBLIC = (EVERYBODY, "")
ENROLLING = ({"unknown"}, "conflict")
OPERATOR = ({"operator"}, "forbidden")
LEADER = ({"coordinator"}, "not-found", {"invited": "forbidden", "participant": "forbidden"})
READER = (MEMBERS, "not-found")
WRITER = ({"participant", "coordinator"}, "not-found", {"invited": "forbidden"})
PARTY = ({"participant", "coordinator"}, "not-found")

# endpoint: (for whom it works, the refusal of the others, other refusals)
MATRIX = {
    "enrol": ENROLLING,
    "sites": (SITES | {"operator"}, "forbidden"),
    "heartbeat": (ENROLLED, ""),
    "label_site": ({"itself", "operator"}, "not-found"),
    "deregister": ({"itself", "operator"}, "not-found"),
    "revoke_site": OPERATOR,
    "succeed_site": ENROLLING,
    "tokens": OPERATOR,
    "create_token": OPERATOR,
    "rotate_token": OPERATOR,
    "revoke_token": OPERATOR,
    "create_project": ({"rival", "coordinator"}, "forbidden"),
    "projects": (SITES, "forbidden"),
    "project": READER,
    "invite": LEADER,
    "remove_member": LEADER,
    "set_tasks": LEADER,
    "answer": ({"invited", "left", "participant"}, "not-found", {"coordinator": "forbidden"}),
    "seal_roster": LEADER,
    "close_project": LEADER,
    "create_run": LEADER,
    "runs": READER,
    "run": READER,
    "change_run": LEADER,
    "lease_run": LEADER,
    "report": ({"participant"}, "not-found", {"invited": "forbidden", "coordinator": "forbidden"}),
    "reports": READER,
    "post_message": WRITER,
    "messages": (SITES, "forbidden"),
    "parcels": READER,
    "frame": PARTY,
    "announce": WRITER,
    "write_blob": ({"coordinator"}, "not-found", {"participant": "forbidden"}),
    "read_blob": PARTY,
    "audit": ({"auditor"}, "forbidden"),
    "relay": (ENROLLED, ""),
    "livez": PUBLIC,
    "readyz": PUBLIC,
    "openapi": PUBLIC,
}


def expected(endpoint: str, actor: str) -> str:
    allowed, refusal, *exceptions = MATRIX[endpoint]
    if actor in allowed:
        return "ok"
    if actor == "unsigned":
        return "unsigned"
    if actor == "foreign signature":
        return "bad-signature"
    if MATRIX[endpoint] is not ENROLLING and actor in {"unknown", "revoked"}:
        return {"unknown": "unknown-site", "revoked": "revoked"}[actor]
    return exceptions[0].get(actor, refusal) if exceptions else refusal


def fresh() -> Identity:
    return Identity(os.urandom(32))


@dataclass
class Everybody(Scene):
    """The scene, and who else there may be."""

    elsewhere: Identity = field(default_factory=fresh)
    invited: Identity = field(default_factory=fresh)
    left: Identity = field(default_factory=fresh)
    itself: Identity = field(default_factory=fresh)
    revoked: Identity = field(default_factory=fresh)
    operator: Identity = field(default_factory=fresh)
    auditor: Identity = field(default_factory=fresh)

    @classmethod
    async def on(cls, relay) -> "Everybody":
        scene = await super().on(relay)

        def enrol(db) -> None:
            for who in ("elsewhere", "invited", "left", "itself", "revoked", "operator", "auditor"):
                scene.add(db, getattr(scene, who), who if who in {"operator", "auditor"} else "site")
            end = {"name": "revoked " + uuid4().hex, "ending": "revoked", "now": time.time()}
            sites.end(db, scene.revoked.public, **end)
            other = uuid4()
            lead = {"name": "x", "coordinator": scene.rival.public, "terms": b"", "now": time.time()}
            projects.add(db, project=other, **lead)
            projects.invite(db, project=other, site=scene.elsewhere.public, now=time.time())
            for who, state in (("invited", MemberState.INVITED), ("left", MemberState.LEFT)):
                key = getattr(scene, who).public
                projects.invite(db, project=scene.project, site=key, now=time.time(), state=state)

        relay.transact(enrol)
        return scene

    @staticmethod
    def add(db, identity: Identity, role: str = "site") -> None:
        sites.add(db, key=identity.public, name=f"{role} {uuid4().hex}", role=role, now=time.time())

    async def enrolled(self, identity: Identity) -> str:
        """Enrol a site for one request; returns its key as paths have it."""
        self.relay.transact(lambda db: self.add(db, identity))
        return to_base64url(identity.public)

    async def with_member(self, state: MemberState) -> tuple[UUID, Identity]:
        """A project with one more member, in this state."""
        project, member = await self.make_project(uuid4()), fresh()

        def work(db) -> None:
            self.add(db, member)
            projects.invite(db, project=project, site=member.public, now=time.time(), state=state)

        self.relay.transact(work)
        return project, member


class Requests:
    """A request for every endpoint that succeeds for whoever is allowed to make it, and harms no other request."""

    def __init__(self, scene: Everybody, actor: str, identity: Identity) -> None:
        self.scene, self.actor, self.me = scene, actor, identity
        self.leads = actor == "coordinator"

    async def subject(self) -> str:
        """The site that a request is about: itself, where that is the actor."""
        if self.actor == "itself":
            self.me = fresh()
            return await self.scene.enrolled(self.me)
        return await self.scene.enrolled(fresh())

    async def enrol(self):
        body = {"token": self.scene.relay.token(), "name": uuid4().hex, "key": to_base64url(self.me.public)}
        return "/v1/sites", body

    async def sites(self):
        return "/v1/sites", b""

    async def heartbeat(self):
        return "/v1/heartbeat", b""

    async def label_site(self):
        return f"/v1/sites/{await self.subject()}/labels", {"labels": {"region": "north"}}

    async def deregister(self):
        return f"/v1/sites/{await self.subject()}", b""

    async def revoke_site(self):
        return f"/v1/sites/{await self.subject()}/revocation", {"reason": "lost"}

    async def succeed_site(self):
        old = fresh()
        path = f"/v1/sites/{await self.scene.enrolled(old)}/successor"
        if self.actor == "unknown":
            self.me = fresh()
        return path, {"handover": to_base64url(old.sign(KEY_ROTATION, self.me.public))}

    async def tokens(self):
        return "/v1/tokens", b""

    async def create_token(self):
        hash_ = to_base64url(os.urandom(32))
        return "/v1/tokens", {"hash": hash_, "role": "site", "label": "Klinikum", "ttl_s": 3600}

    async def rotate_token(self):
        return f"/v1/tokens/{await self._token()}/rotation", {"hash": to_base64url(os.urandom(32)), "ttl_s": 3600}

    async def revoke_token(self):
        return f"/v1/tokens/{await self._token()}", b""

    async def _token(self) -> int:
        async with self.scene.client(self.scene.operator) as operator:
            return (await operator.create_token("site", "Klinikum", 3600))[0].id

    async def create_project(self):
        return f"/v1/projects/{uuid4()}", {"name": "another", "terms": ""}

    async def projects(self):
        return "/v1/projects", b""

    async def project(self):
        return f"/v1/projects/{self.scene.project}", b""

    async def invite(self):
        return f"/v1/projects/{self.scene.project}/members/{to_base64url(self.scene.second.public)}", b""

    async def remove_member(self):
        if self.actor != "coordinator":
            return await self.invite()
        project, member = await self.scene.with_member(MemberState.JOINED)
        return f"/v1/projects/{project}/members/{to_base64url(member.public)}", b""

    async def set_tasks(self):
        project = await self.scene.make_project(uuid4()) if self.leads else self.scene.project
        return f"/v1/projects/{project}/tasks", {"version": 0, "tasks": [{"name": "cox", "parameters": ""}]}

    async def answer(self):
        if self.actor == "invited":
            project, self.me = await self.scene.with_member(MemberState.INVITED)
            return f"/v1/projects/{project}/answer", {"state": "joined"}
        state = {"state": "left"} if self.actor == "left" else {"state": "confirmed", "roster_version": 1}
        return f"/v1/projects/{self.scene.project}/answer", state

    async def seal_roster(self):
        keys = [to_base64url(site.public) for site in (self.scene.first, self.scene.second)]
        return f"/v1/projects/{self.scene.project}/roster", {"sites": keys}

    async def close_project(self):
        project = await self.scene.make_project(uuid4()) if self.leads else self.scene.project
        return f"/v1/projects/{project}/close", b""

    async def create_run(self):
        project = await self.scene.make_project(uuid4()) if self.leads else self.scene.project
        return f"/v1/projects/{project}/runs/{uuid4()}", {"name": "another"}

    async def runs(self):
        return f"/v1/projects/{self.scene.project}/runs", b""

    async def run(self):
        return f"/v1/runs/{self.scene.run}", b""

    async def change_run(self):
        run = await self.scene.make_run(uuid4(), RunState.CREATED)
        return f"/v1/runs/{run}/state", {"from": "created", "to": "cancelled"}

    async def lease_run(self):
        return f"/v1/runs/{self.scene.run}/lease", {"holder": "matrix", "ttl_s": 0}

    async def report(self):
        run = await self.scene.make_run(uuid4(), RunState.COMPLETED)
        return f"/v1/runs/{run}/report", {"from": "waiting", "to": "ready"}

    async def reports(self):
        return f"/v1/runs/{self.scene.run}/reports", b""

    async def post_message(self):
        to = "all" if self.leads else to_base64url(self.scene.coordinator.public)
        frame = self.scene.frame(self.me, round_=int.from_bytes(os.urandom(3), "big"))
        return f"/v1/runs/{self.scene.run}/messages?to={to}", frame

    async def messages(self):
        return "/v1/messages?wait=0", b""

    async def parcels(self):
        return f"/v1/runs/{self.scene.run}/parcels", b""

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

    async def audit(self):
        return "/v1/audit", b""

    async def relay(self):
        return "/v1/relay", b""

    async def livez(self):
        return "/livez", b""

    async def readyz(self):
        return "/readyz", b""

    async def openapi(self):
        return "/v1/openapi.json", b""


@pytest.fixture(scope="module")
def everybody(relay):
    return asyncio.run(Everybody.on(relay))


@pytest.fixture(scope="module")
def operations(relay):
    """The endpoints of the served description: name, method, and the answers that it declares."""
    served = asyncio.run(send("GET", f"{relay.url}/v1/openapi.json")).json
    return {
        operation["operationId"]: (method.upper(), operation["responses"])
        for path in served["paths"].values()
        for method, operation in path.items()
    }


async def ask(scene: Everybody, actor: str, endpoint: str, method: str) -> Answer:
    alias = {"unsigned": "first", "foreign signature": "first", "participant": "first"}
    identity = fresh() if actor == "unknown" else getattr(scene, alias.get(actor, actor))
    request = Requests(scene, actor, identity)
    path, body = await getattr(request, endpoint)()
    signature = None if actor == "unsigned" else Signature.of(request.me)
    if actor == "foreign signature":  # another site signs, in this one's name
        signature = Signature.of(scene.second, key_id=to_base64url(scene.first.public))
    return await send(method, f"{scene.relay.url}{path}", body, signature=signature)


def test_the_served_description_has_a_row_for_each_endpoint(operations):
    assert set(operations) == set(MATRIX)
    assert all(hasattr(Requests, endpoint) for endpoint in MATRIX)


@pytest.mark.parametrize("endpoint", [route.name for route in ROUTES])
async def test_the_matrix(everybody, operations, endpoint):
    assert endpoint in MATRIX, "an endpoint without a row: say who may use it, and who may not"
    method, responses = operations[endpoint]
    actors = sorted(EVERYBODY)
    answers = await asyncio.gather(*(ask(everybody, actor, endpoint, method) for actor in actors))
    for actor, answer in zip(actors, answers, strict=True):
        assert str(answer.status) in responses, "a status that the description does not declare"
        got = "ok" if answer.status < 300 else answer.problem
        assert got == expected(endpoint, actor), f"{endpoint} by {actor}: {answer.status} {answer.body[:300]!r}"
