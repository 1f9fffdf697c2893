"""Life cycles: keys, tokens, labels, silent sites, tasks, repeated runs, and the sites' reports."""

import asyncio
import contextlib
import json
import os
import time
from hashlib import sha256
from importlib import import_module
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestServer
from sqlalchemy import func, select
from structlog.testing import capture_logs
from typer.testing import CliRunner

from relay.api.states import Ending, Liveness, ProjectState
from relay.api.wire import KEY_ROTATION
from relay.client import enrolment
from relay.client.transport import MemberState, RelayError, RunState, SiteState
from relay.party import keystore
from relay.server.commands.cli import app as relay_app
from relay.server.core.config import RelayConfig
from relay.server.store import schema, sites
from relay.server.store.connect import transact
from secagg.audit import link
from secagg.errors import ParameterError
from secagg.identity import Identity, fingerprint, key_words
from tests.support.relay_process import apart
from tests.support.relay_requests import Signature, send
from tests.support.relay_scene import Scene

PASSPHRASE = "correct horse battery"


def fresh() -> Identity:
    return Identity(os.urandom(32))


async def refused(awaitable) -> RelayError:
    with pytest.raises(RelayError) as caught:
        await awaitable
    return caught.value


def request_at(at: float) -> sites.LastRequest:
    return sites.LastRequest(at=at, release=None, clock_offset_s=0.0)


def enrol(scene, role: str) -> Identity:
    identity, name = fresh(), f"{role} {uuid4().hex}"
    scene.relay.transact(lambda db: sites.add(db, key=identity.public, name=name, role=role, now=time.time()))
    return identity


async def test_an_operator_makes_rotates_and_revokes_tokens(scene):
    operator = enrol(scene, "operator")
    async with scene.client(operator) as office:
        made, text = await office.create_token("site", "Klinikum", 3600)
        assert (made.state, made.label) == ("open", "Klinikum")
        other, successor = await office.rotate_token(made.id, 3600)
        states = {token.id: token.state for token in await office.tokens()}
        assert (states[made.id], states[other.id]) == ("revoked", "open")
        async with scene.client(fresh()) as late:
            assert (await refused(late.enrol(text, uuid4().hex))).type == "bad-token"
        identity, name = fresh(), uuid4().hex
        async with scene.client(identity) as site:
            assert (await site.enrol(successor, name)).key == identity.public
        assert (await refused(office.rotate_token(other.id, 3600))).type == "conflict"
        assert (await refused(office.revoke_token(other.id))).state == "used"
        used = next(token for token in await office.tokens() if token.id == other.id)
        assert (used.state, used.used_by) == ("used", name)
        assert (await refused(office.create_token("operator", "another", 3600))).type == "forbidden"


async def test_a_token_is_nowhere_before_it_is_used(scene):
    operator = enrol(scene, "operator")
    async with scene.client(operator) as office:
        _, text = await office.create_token("coordinator", "Study office", 3600)
    stored = b"".join(path.read_bytes() for path in scene.relay.data.rglob("*") if path.is_file())
    assert text.encode() not in stored
    assert text not in scene.relay.log


async def test_a_revoked_key_is_refused_at_once_also_where_it_waits(scene):
    """A long poll that was there before ends, and brings nothing of what came meanwhile."""
    operator = enrol(scene, "operator")
    async with scene.client(operator) as office, scene.client(scene.first) as site:
        poll = asyncio.create_task(site.messages(wait=30))
        await scene.relay.polls_wait(1)
        ended = await office.revoke_site(scene.first.public, "laptop stolen")
        assert (ended.status, ended.ending) == (Liveness.ENDED, Ending.REVOKED)
        async with asyncio.timeout(20):  # less than it would have waited
            assert (await refused(poll)).type == "revoked"
        assert (await refused(site.heartbeat())).type == "revoked"
        assert (await refused(site.enrol(scene.relay.token(), "again"))).type == "conflict"
        assert (await office.revoke_site(scene.first.public)).ending == Ending.REVOKED  # repeated
    async with scene.client(scene.coordinator) as lead:
        assert (await lead.project(scene.project)).members  # its place in the past stays
        error = await refused(
            lead.post_message(scene.run, scene.first.public, scene.frame(scene.coordinator, recipient=1))
        )
        assert error.type == "forbidden"


async def test_a_revocation_reaches_another_process(scene):
    """As from another replica: written to the database behind the relay's back."""
    async with scene.client(scene.second) as site:
        poll = asyncio.create_task(site.messages(wait=30))
        await scene.relay.polls_wait(1)
        end = {"name": uuid4().hex, "ending": "revoked", "now": time.time()}
        await asyncio.to_thread(scene.relay.transact, lambda db: sites.end(db, scene.second.public, **end))
        async with asyncio.timeout(20):
            assert (await refused(poll)).type == "revoked"


async def test_nobody_hinders_a_revocation_with_a_name(scene):
    """Colluders enrol under the names that the revoked key's site would get."""
    operator = enrol(scene, "operator")
    taken = f"first {scene.first.public.hex()[:12]} (revoked {fingerprint(scene.first.public)})"
    names = [taken, taken[:-1] + " 1)"]
    for name in names:
        async with scene.client(fresh()) as colluder:
            await colluder.enrol(scene.relay.token(), name)
    async with scene.client(operator) as office:
        assert (await office.revoke_site(scene.first.public)).name == taken[:-1] + " 2)"


async def test_an_operator_s_key_hands_over_nothing(scene):
    """A thief's second key would outlive the revocation of the first one."""
    operator, thief = enrol(scene, "operator"), fresh()
    async with scene.client(thief) as site:
        handover = operator.sign(KEY_ROTATION, thief.public)
        assert (await refused(site.succeed(operator.public, handover))).type == "forbidden"
        assert (await refused(site.sites())).type == "unknown-site"


async def test_labels_are_stored_whole_or_refused(scene):
    """Within the form of each, but all together longer than the database's column."""
    async with scene.client(scene.first) as site:
        many = {f"{'x' * 30}{number:02}": '"' * 100 for number in range(16)}
        assert (await refused(site.label_site(scene.first.public, many))).type == "bad-request"
        fitting = dict(list(many.items())[:10])
        assert (await site.label_site(scene.first.public, fitting)).labels == fitting


async def test_the_same_labels_again_are_no_news(scene):
    def entries(db) -> int:
        return db.scalar(select(func.count()).where(schema.audit.c.action == "site.labelled"))

    async with scene.client(scene.first) as site:
        before = scene.relay.transact(entries)
        for _ in range(3):
            await site.label_site(scene.first.public, {"region": "north"})
        assert scene.relay.transact(entries) == before + 1


async def test_a_coordinator_s_end_leaves_nothing_open(scene):
    operator = enrol(scene, "operator")
    async with scene.client(operator) as office, scene.client(scene.first) as site:
        await office.revoke_site(scene.coordinator.public)
        assert (await site.run(scene.run)).state == RunState.FAILED
        assert (await site.project(scene.project)).state == ProjectState.CLOSED


async def test_a_site_deregisters_and_destroys_its_key(scene, tmp_path):
    path = tmp_path / "keys" / "identity.json"
    identity = keystore.create(path, PASSPHRASE)
    name = uuid4().hex
    async with scene.client(identity) as site:
        await site.enrol(scene.relay.token(), name)
    held = path.open("rb")  # of whoever has the file open still
    before = path.read_bytes()
    await enrolment.deregister(path, identity, scene.client)
    assert not path.exists()
    with held:
        after = held.read()
    assert len(after) == len(before)
    assert b"sealed" not in after
    async with scene.client(identity) as site:
        assert (await refused(site.sites())).type == "revoked"
        await site.deregister(identity.public)  # repeated
    async with scene.client(fresh()) as other:
        assert (await other.enrol(scene.relay.token(), name)).name == name  # the name is free again


async def test_a_key_hands_over_to_its_successor(scene, tmp_path):
    path = tmp_path / "keys" / "identity.json"
    old = keystore.create(path, PASSPHRASE)
    name = uuid4().hex
    async with scene.client(old) as site, scene.client(scene.coordinator) as lead:
        await site.enrol(scene.relay.token(), name)
        await site.label_site(old.public, {"region": "north"})
        await lead.invite(scene.project, old.public)
        await site.answer(scene.project, "joined")
        await lead.seal_roster(scene.project, [scene.first.public, old.public])
        await site.answer(scene.project, "confirmed", roster_version=2)
        run = await lead.create_run(scene.project, uuid4(), "open")
        error = await refused(enrolment.rotate(path, PASSPHRASE, scene.client))
        assert error.type == "conflict"  # its frames are checked against the old key
        await lead.change_run(run.id, "created", "cancelled")
        new = await enrolment.rotate(path, PASSPHRASE, scene.client)
        assert keystore.unlock(path, PASSPHRASE).public == new.public != old.public
        assert [file.name for file in path.parent.iterdir()] == [path.name]
        members = {member.key: member.state for member in (await lead.project(scene.project)).members}
        assert members[old.public] == MemberState.LEFT
        assert members[new.public] == MemberState.JOINED  # nobody compared words with this key in them
        assert (await refused(site.heartbeat())).type == "revoked"
    async with scene.client(new) as site:
        (mine,) = [one for one in await site.sites() if one.key == new.public]
        assert (mine.name, mine.labels, mine.predecessor) == (name, {"region": "north"}, old.public)
        again = await site.succeed(old.public, old.sign(KEY_ROTATION, new.public))
        assert again.key == new.public


async def test_a_handover_is_for_one_key_by_one_key(scene):
    thief = fresh()
    async with scene.client(thief) as site:
        for handover in (
            thief.sign(KEY_ROTATION, thief.public),
            scene.outsider.sign(KEY_ROTATION, scene.rival.public),
            scene.outsider.sign("frame", thief.public),
        ):
            assert (await refused(site.succeed(scene.outsider.public, handover))).type == "forbidden"
        unknown = fresh()
        handover = unknown.sign(KEY_ROTATION, thief.public)
        assert (await refused(site.succeed(unknown.public, handover))).type == "not-found"


async def test_a_coordinator_s_new_key_makes_another_roster(scene):
    new = fresh()
    async with scene.client(scene.coordinator) as lead:
        await lead.change_run(scene.run, "running", "completed")
    async with scene.client(new) as lead, scene.client(scene.first) as site:
        await lead.succeed(scene.coordinator.public, scene.coordinator.sign(KEY_ROTATION, new.public))
        project = await lead.project(scene.project)
        assert (project.coordinator, project.roster.version) == (new.public, 2)
        assert {member.state for member in project.members} == {MemberState.JOINED}
        assert (await site.answer(scene.project, "confirmed", roster_version=2)).state == MemberState.CONFIRMED


async def test_a_silent_site_is_noticed_and_so_is_its_return(scene):
    async def status() -> tuple[Liveness, float | None]:
        async with scene.client(scene.coordinator) as lead:
            (found,) = [site for site in await lead.sites() if site.key == scene.outsider.public]
            return found.status, found.silent_since

    def seen(at: float) -> None:
        scene.relay.transact(lambda db: sites.seen(db, {scene.outsider.public: request_at(at)}))

    def sweep(then: float) -> tuple[bool, bool]:
        """Whether the site fell silent, and whether it came back."""
        assert scene.relay.transact(lambda db: sites.needs_sweep(db, then=then))
        rows = scene.relay.transact(lambda db: sites.sweep(db, then=then))
        return tuple(scene.outsider.public in {row.key for row in changed} for changed in rows)

    now = time.time() + 1000  # later than all others, who are not to be disturbed
    seen(now)
    assert await status() == (Liveness.CONNECTED, None)
    assert sweep(now + 1) == (True, False)
    assert await status() == (Liveness.SILENT, now)
    seen(now + 2)
    assert sweep(now + 1) == (False, True)
    assert await status() == (Liveness.CONNECTED, None)


async def test_the_relay_sweeps_by_itself(tmp_path):
    from relay.server.app import RELAY, _sweep, create_app
    from relay.server.core.config import RelayConfig

    app = create_app(RelayConfig(data=tmp_path / "data", silent_after_s=60))
    async with TestServer(app):
        relay, key = app[RELAY], fresh().public
        await relay.database.write(lambda db: sites.add(db, key=key, name="Klinikum", role="site", now=time.time()))
        with capture_logs() as lines:
            await _sweep(relay)
            await relay.database.write(lambda db: sites.seen(db, {key: request_at(time.time() - 61)}))
            await _sweep(relay)
            await _sweep(relay)
            await relay.database.write(lambda db: sites.seen(db, {key: request_at(time.time())}))
            await _sweep(relay)
    assert [line["event"] for line in lines if line["event"].startswith("site ")] == ["site silent", "site back"]


async def test_a_project_has_tasks_and_its_runs_name_them(scene):
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as site:
        tasks = [("cox", b"\x01"), ("kaplan-meier", b"")]
        assert (await lead.set_tasks(scene.project, tasks, version=0)).tasks_version == 1
        assert (await refused(lead.set_tasks(scene.project, [], version=0))).type == "conflict"  # somebody was faster
        seen = (await site.project(scene.project)).tasks
        assert [(task.name, task.parameters) for task in seen] == tasks
        runs = [await lead.create_run(scene.project, uuid4(), f"run {n}", task=1) for n in range(2)]
        assert [(run.task, run.number) for run in runs] == [(1, 2), (1, 3)]  # the scene has the first
        assert (await refused(lead.create_run(scene.project, uuid4(), "x", task=2))).type == "conflict"
        assert (await lead.set_tasks(scene.project, [], version=1)).tasks == []


async def test_sites_report_and_the_coordinator_reads(scene):
    async with (
        scene.client(scene.coordinator) as lead,
        scene.client(scene.first) as first,
        scene.client(scene.second) as second,
    ):
        assert {report.state for report in await lead.reports(scene.run)} == {SiteState.WAITING}
        await first.report(scene.run, "waiting", "ready")
        done = await first.report(scene.run, "ready", "working", round_=3, reason="computing")
        assert (done.state, done.round, done.reason) == (SiteState.WORKING, 3, "computing")
        assert (await refused(first.report(scene.run, "ready", "working"))).state == "working"
        assert (await refused(first.report(scene.run, "working", "waiting"))).type == "conflict"
        states = {report.key: report.state for report in await lead.reports(scene.run)}
        assert states == {scene.first.public: SiteState.WORKING, scene.second.public: SiteState.WAITING}
        assert [report.key for report in await second.reports(scene.run)] == [scene.second.public]  # its own alone


async def test_a_removed_member_learns_nothing_more(scene):
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as site:
        assert (await lead.remove_member(scene.project, scene.first.public)).state == MemberState.LEFT
        assert (await lead.remove_member(scene.project, scene.first.public)).state == MemberState.LEFT
        for looking in (site.project(scene.project), site.run(scene.run), site.reports(scene.run)):
            assert (await refused(looking)).type == "not-found"
        assert (await refused(lead.remove_member(scene.project, scene.rival.public))).type == "not-found"


async def test_operators_and_auditors_cannot_be_invited(scene):
    async with scene.client(scene.coordinator) as lead:
        for role in ("operator", "auditor"):
            assert (await refused(lead.invite(scene.project, enrol(scene, role).public))).type == "not-found"


async def test_an_auditor_checks_the_chain_by_itself(scene):
    """From what the interface gives, with the core's hash alone."""
    from relay.server.store.audit import _encode

    async with scene.client(enrol(scene, "auditor")) as auditor:
        entries, after = [], 0
        while page := await auditor.audit(after):
            entries += page
            after = page[-1].seq
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    head = bytes(32)
    for entry in entries:
        columns = {name: getattr(entry, name) for name in ("seq", "at_ms", "actor", "action", "object", "detail")}
        head = link(head, _encode(columns))
        assert head == entry.head


async def test_a_download_ends_with_its_reader_s_key(scene):
    data = os.urandom(24 << 20)
    async with scene.client(scene.coordinator) as lead:
        blob = await lead.upload(scene.run, data, size=len(data), digest=sha256(data).digest(), to=None)
    operator = enrol(scene, "operator")
    async with scene.client(scene.first, give_up_after_s=1.0) as site, scene.client(operator) as office:
        received = 0
        with contextlib.suppress(Exception):
            async for piece in site.download(blob):
                received += len(piece)
                if received == len(piece):
                    await office.revoke_site(scene.first.public)
                    await asyncio.sleep(4)  # meanwhile what is in buffers waits there
        assert received < len(data)


async def test_quotas_of_projects_and_runs(start_relay):
    limits = {"SECAGG_RELAY_MAX_OPEN_PROJECTS": "2", "SECAGG_RELAY_MAX_OPEN_RUNS": "2"}
    with start_relay(environment=limits) as relay:
        scene = await Scene.on(relay)

        async def status(path: str, body: dict) -> str:
            answer = await send("PUT", f"{relay.url}{path}", body, signature=Signature.of(scene.coordinator))
            return "ok" if answer.status < 300 else answer.problem

        runs = [f"/v1/projects/{scene.project}/runs/{uuid4()}" for _ in range(2)]
        assert [await status(path, {"name": "another"}) for path in runs] == ["ok", "quota"]
        new = [f"/v1/projects/{uuid4()}" for _ in range(2)]
        assert [await status(path, {"name": "another", "terms": ""}) for path in new] == ["ok", "quota"]
        async with scene.client(scene.coordinator) as lead:
            await lead.change_run(scene.run, "running", "cancelled")
            await lead.close_project(scene.project)
        assert await status(new[1], {"name": "another", "terms": ""}) == "ok"


@pytest.mark.parametrize("party", ["participant", "coordinator"])
def test_the_commands_of_a_key_s_life(relay, tmp_path, party, monkeypatch):
    app = import_module(f"{party}.commands.cli").app
    role = {"participant": "site", "coordinator": "coordinator"}[party]
    monkeypatch.setenv(f"SECAGG_{party.upper()}_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv(f"SECAGG_{party.upper()}_RELAY", relay.url)
    data = ("--json", "--data", str(tmp_path / "data"))

    def told(*words: str) -> dict:
        return json.loads(apart(lambda: CliRunner().invoke(app, [*words, *data], catch_exceptions=False)).stdout)

    name = uuid4().hex
    enrolled = told("enroll", "--token", relay.token(role), "--name", name)
    rotated = told(*{"participant": ("key", "rotate"), "coordinator": ("rotate-key",)}[party])
    assert rotated["key"] != enrolled["key"]
    with pytest.raises(ParameterError, match="--yes"):
        told("deregister")
    assert told("deregister", "--yes") == {"key": rotated["key"], "destroyed": True}
    assert not (tmp_path / "data" / "identity.json").exists()
    listed = {row.key.hex(): row.ending for row in relay.transact(sites.all_sites)}
    assert (listed[enrolled["key"]], listed[rotated["key"]]) == ("rotated", "deregistered")


def test_the_operator_s_commands(tmp_path):
    data = ("--json", "--data", str(tmp_path / "data"))

    def told(*words: str) -> dict:
        return json.loads(CliRunner().invoke(relay_app, [*words, *data], catch_exceptions=False).stdout)

    first = told("token", "create", "--label", "Klinikum", "--role", "auditor")
    second = told("token", "rotate", str(first["id"]))
    assert [(token["role"], token["state"]) for token in told("token", "list")["tokens"]] == [
        ("auditor", "revoked"),
        ("auditor", "open"),
    ]
    assert second["token"] != first["token"]
    keys = [fresh().public for _ in range(2)]
    url = RelayConfig(data=tmp_path / "data").database_url
    for key, name in zip(keys, ("Klinikum A", "Klinikum B"), strict=True):
        transact(url, lambda db, key=key, name=name: sites.add(db, key=key, name=name, role="site", now=0.0))
    assert told("site", "show", "Klinikum A")["words"] == key_words(keys[0])
    assert told("site", "revoke", "Klinikum A", "--reason", "stolen")["status"] == "revoked"
    assert told("site", "deregister", "Klinikum B")["status"] == "deregistered"
    with pytest.raises(ParameterError, match="no site 'Klinikum A'"):  # the name is free again
        told("site", "revoke", "Klinikum A")
    assert [site["status"] for site in told("site", "list")["sites"]] == ["revoked", "deregistered"]
