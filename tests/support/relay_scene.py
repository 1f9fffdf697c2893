"""A relay with a project: two coordinators, three sites of which two are in the roster, and one run."""

import os
import time
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from relay.api.states import MemberState, RunState
from relay.server.store import projects, runs, sites
from secagg.envelope import EVERYONE, sign
from secagg.identity import Identity
from tests.support.full_client import FullClient
from tests.support.relay_process import RelayProcess

EPOCH = bytes(range(32))


@dataclass
class Scene:
    relay: RelayProcess
    coordinator: Identity = field(default_factory=lambda: Identity(os.urandom(32)))
    first: Identity = field(default_factory=lambda: Identity(os.urandom(32)))
    second: Identity = field(default_factory=lambda: Identity(os.urandom(32)))
    outsider: Identity = field(default_factory=lambda: Identity(os.urandom(32)))
    rival: Identity = field(default_factory=lambda: Identity(os.urandom(32)))
    project: UUID = field(default_factory=uuid4)
    run: UUID = field(default_factory=uuid4)

    @classmethod
    async def on(cls, relay: RelayProcess) -> "Scene":
        """Create a scene on a running relay with the store's own functions, which is faster than a dozen requests."""
        scene = cls(relay)

        def enrol(db) -> None:
            for role, who in (
                ("coordinator", "coordinator"),
                ("coordinator", "rival"),
                ("site", "first"),
                ("site", "second"),
                ("site", "outsider"),
            ):
                key = getattr(scene, who).public
                sites.add(db, key=key, name=f"{who} {key.hex()[:12]}", role=role, now=time.time())

        relay.transact(enrol)
        await scene.make_project(scene.project)
        await scene.make_run(scene.run)
        return scene

    def client(self, identity: Identity, **options) -> FullClient:
        return FullClient(self.relay.url, identity, **{"give_up_after_s": 20.0} | options)

    async def make_project(self, project: UUID) -> UUID:
        """Create a project with a roster of `first` and `second`, which both have confirmed."""
        members = [self.first.public, self.second.public]

        def make(db) -> None:
            now = time.time()
            projects.add(db, project=project, name="Lung", coordinator=self.coordinator.public, terms=b"terms", now=now)
            for site in members:
                projects.invite(db, project=project, site=site, now=now)
                move = {"project": project, "site": site, "now": now}
                projects.move_member(db, from_=MemberState.INVITED, to=MemberState.JOINED, **move)
                projects.move_member(db, from_=MemberState.JOINED, to=MemberState.CONFIRMED, roster_version=1, **move)
            projects.add_roster(db, project=project, version=1, sites=sorted(members))

        self.relay.transact(make)
        return project

    async def make_run(self, run: UUID, state: RunState = RunState.RUNNING) -> UUID:
        """Create a run of the scene's project in this state."""

        def make(db) -> None:
            runs.add(db, run=run, project=self.project, roster_version=1, name="run", now=time.time())
            if state != RunState.CREATED:
                runs.change(db, run, from_=RunState.CREATED, to=state, reason="", now=time.time())

        self.relay.transact(make)
        return run

    def frame(self, author: Identity, *, kind: int = 1, round_: int = 0, body: bytes = b"sealed", **header) -> bytes:
        """Return a frame with the right header for its author: the coordinator sends to all, others to it."""
        leads = author is self.coordinator
        fitting = {"sender": 0, "recipient": EVERYONE} if leads else {"sender": 1, "recipient": 0}
        return sign(author, body, kind=kind, epoch=EPOCH, round_=round_, **fitting | header).encode()
