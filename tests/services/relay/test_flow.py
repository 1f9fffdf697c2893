"""Every endpoint through the typed client: requests that succeed, and the responses to repeated ones."""

import os
from hashlib import sha256
from uuid import uuid4

import pytest

from relay.api.states import ProjectState, Role
from relay.client.transport import MemberState, RelayError, RunState
from secagg.identity import Identity


async def refused(awaitable) -> RelayError:
    with pytest.raises(RelayError) as caught:
        await awaitable
    return caught.value


async def test_a_site_enrols_once_and_may_repeat_it(scene, relay):
    identity, token = Identity(os.urandom(32)), relay.token()
    name = f"Klinikum Köln {identity.public.hex()[:8]}"
    async with scene.client(identity) as client:
        site = await client.enrol(token, name)
        assert (site.key, site.name, site.role) == (identity.public, name, Role.SITE)
        assert (await client.enrol(token, name)).key == site.key
        assert (await refused(client.enrol(relay.token(), name))).type == "conflict"
    async with scene.client(Identity(os.urandom(32))) as other:
        assert (await refused(other.enrol(token, "another"))).type == "bad-token"
        assert (await refused(other.enrol(relay.token(), name))).type == "conflict"


@pytest.mark.parametrize("token", ["secagg-join-unknown-unknown", "expired", "revoked"])
async def test_all_bad_tokens_get_one_answer(scene, relay, token):
    if token == "expired":
        token = relay.token(ttl_s=-1)
    elif token == "revoked":
        token = relay.token()
        revoke_last(relay)
    async with scene.client(Identity(os.urandom(32))) as client:
        error = await refused(client.enrol(token, uuid4().hex))
    assert (error.type, error.status) == ("bad-token", 403)
    assert (
        error.detail == "this join token is unknown, used, expired or revoked; ask the relay's operator for a new one"
    )


def revoke_last(relay):
    from relay.server.registry import join_tokens
    from relay.server.store import tokens

    relay.transact(lambda db: join_tokens.revoke_open(db, max(row.id for row in tokens.all_tokens(db)), now=0.0))


async def test_sites_see_those_that_they_share_a_project_with(scene):
    async with (
        scene.client(scene.first) as first,
        scene.client(scene.outsider) as outsider,
        scene.client(scene.coordinator) as lead,
    ):
        await first.heartbeat()
        assert {site.key for site in await first.sites()} == {
            scene.first.public,
            scene.second.public,
            scene.coordinator.public,
        }
        assert [site.key for site in await outsider.sites()] == [scene.outsider.public]
        everyone = {site.key for site in await lead.sites()}
        assert {scene.outsider.public, scene.rival.public} <= everyone


async def test_a_project_is_created_once(scene):
    number = uuid4()
    async with scene.client(scene.coordinator) as lead, scene.client(scene.rival) as rival:
        project = await lead.create_project(number, "Trial", b"\0terms")
        assert (project.id, project.terms, project.coordinator) == (number, b"\0terms", scene.coordinator.public)
        assert (project.roster, project.members, project.state) == (None, [], ProjectState.OPEN)
        assert await lead.create_project(number, "Trial", b"\0terms") == project
        assert (await refused(lead.create_project(number, "Trial", b"other"))).type == "conflict"
        assert (await refused(rival.create_project(number, "Trial", b"\0terms"))).type == "forbidden"
        assert number in {project.id for project in await lead.projects()}


async def test_a_member_from_its_invitation_to_its_leave(scene):
    async with scene.client(scene.coordinator) as lead, scene.client(scene.outsider) as site:
        assert (await site.projects()) == []
        assert (await lead.invite(scene.project, scene.outsider.public)).state == MemberState.INVITED
        (summary,) = await site.projects()
        assert (summary.id, summary.membership) == (scene.project, MemberState.INVITED)
        assert (await site.project(scene.project)).terms == b"terms"
        declined = await site.answer(scene.project, "declined", reason="too few rows")
        assert (declined.state, declined.reason) == (MemberState.DECLINED, "too few rows")
        assert (await site.answer(scene.project, "declined")).state == MemberState.DECLINED
        assert (await refused(site.project(scene.project))).type == "not-found"
        error = await refused(site.answer(scene.project, "joined"))
        assert (error.type, error.state) == ("conflict", "declined")
        assert (await lead.invite(scene.project, scene.outsider.public)).state == MemberState.INVITED
        assert (await site.answer(scene.project, "joined")).state == MemberState.JOINED
        assert (await lead.invite(scene.project, scene.outsider.public)).state == MemberState.JOINED
        assert (await site.answer(scene.project, "left")).state == MemberState.LEFT
        assert (await refused(lead.invite(scene.project, os.urandom(32)))).type == "not-found"
        assert (await refused(lead.invite(scene.project, scene.coordinator.public))).type == "bad-request"


async def test_a_new_roster_voids_confirmations(scene):
    async with (
        scene.client(scene.coordinator) as lead,
        scene.client(scene.first) as first,
        scene.client(scene.second) as second,
    ):
        sites = sorted([scene.first.public, scene.second.public])
        same = await lead.seal_roster(scene.project, reversed(sites))
        assert (same.version, same.sites) == (1, sites)
        assert {member.state for member in (await lead.project(scene.project)).members} == {MemberState.CONFIRMED}
        assert (await lead.seal_roster(scene.project, [scene.first.public])).version == 2
        assert {member.state for member in (await lead.project(scene.project)).members} == {MemberState.JOINED}
        assert (await refused(first.answer(scene.project, "confirmed", roster_version=1))).type == "conflict"
        assert (await first.answer(scene.project, "confirmed", roster_version=2)).roster_version == 2
        assert (await first.answer(scene.project, "confirmed", roster_version=2)).roster_version == 2
        assert (await refused(second.answer(scene.project, "confirmed", roster_version=2))).type == "conflict"
        missing = await refused(lead.seal_roster(scene.project, [scene.first.public, scene.outsider.public]))
        assert missing.type == "conflict"
        twice = await refused(lead.seal_roster(scene.project, [scene.first.public] * 2))
        assert twice.type == "bad-request"


async def test_a_closed_project_takes_nothing_new(scene):
    async with scene.client(scene.coordinator) as lead:
        assert (await lead.close_project(scene.project)).state == ProjectState.CLOSED
        assert (await lead.close_project(scene.project)).state == ProjectState.CLOSED
        for attempt in (
            lead.invite(scene.project, scene.outsider.public),
            lead.seal_roster(scene.project, [scene.first.public]),
            lead.create_run(scene.project, uuid4(), "late"),
        ):
            error = await refused(attempt)
            assert (error.type, error.state) == ("conflict", "closed")
        assert (await lead.run(scene.run)).state == RunState.RUNNING


async def test_a_run_needs_a_roster_and_keeps_it(scene):
    number, bare = uuid4(), uuid4()
    async with scene.client(scene.coordinator) as lead, scene.client(scene.second) as second:
        await lead.create_project(bare, "Bare", b"")
        assert (await refused(lead.create_run(bare, uuid4(), "early"))).type == "conflict"
        run = await lead.create_run(scene.project, number, "A run")
        assert (run.state, run.roster_version, run.project) == (RunState.CREATED, 1, scene.project)
        assert await lead.create_run(scene.project, number, "A run") == run
        assert (await refused(lead.create_run(scene.project, number, "B run"))).type == "conflict"
        assert (await refused(lead.create_run(bare, number, "A run"))).type == "conflict"
        await lead.seal_roster(scene.project, [scene.first.public])
        assert await second.run(number) == run
        assert {found.id for found in await second.runs(scene.project)} == {number, scene.run}


async def test_a_run_changes_by_compare_and_set(scene):
    async with scene.client(scene.coordinator) as lead:
        paused = await lead.change_run(scene.run, "running", "paused", "a site was lost")
        assert (paused.state, paused.reason) == (RunState.PAUSED, "a site was lost")
        assert paused.updated >= paused.created
        error = await refused(lead.change_run(scene.run, "running", "completed"))
        assert (error.type, error.state) == ("conflict", "paused")
        assert (await refused(lead.change_run(scene.run, "paused", "completed"))).type == "conflict"
        await lead.change_run(scene.run, "paused", "cancelled")
        assert (await refused(lead.change_run(scene.run, "cancelled", "running"))).type == "conflict"


async def test_messages_go_where_they_are_addressed(scene):
    to_all, to_first = scene.frame(scene.coordinator), scene.frame(scene.coordinator, kind=2, recipient=1)
    async with (
        scene.client(scene.coordinator) as lead,
        scene.client(scene.first) as first,
        scene.client(scene.second) as second,
    ):
        one = await lead.post_message(scene.run, None, to_all)
        two = await lead.post_message(scene.run, scene.first.public, to_first)
        three = await second.post_message(scene.run, scene.coordinator.public, scene.frame(scene.second))
        assert one < two < three
        assert [(found.id, found.frame) for found in await first.messages()] == [(one, to_all), (two, to_first)]
        assert [(found.id, found.frame) for found in await second.messages()] == [(one, to_all)]
        (answer,) = await lead.messages()
        assert (answer.id, answer.sender, answer.run, answer.project) == (
            three,
            scene.second.public,
            scene.run,
            scene.project,
        )
        assert await first.messages(after=two) == []
        assert [found.id for found in await first.messages(limit=1)] == [one]
        assert await first.frame(two) == to_first
        assert await lead.frame(two) == to_first  # its author may read it again
        assert (await refused(second.frame(two))).type == "not-found"


async def test_large_frames_are_fetched_by_their_number(scene):
    inline = scene.frame(scene.coordinator, body=bytes(30_000))
    large = scene.frame(scene.coordinator, kind=2, body=bytes((4 << 20) - 256))
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
        await lead.post_message(scene.run, None, inline)
        number = await lead.post_message(scene.run, None, large)
        small, big = await first.messages()
        assert small.frame == inline
        assert (big.id, big.frame, big.size) == (number, None, len(large))
        assert await first.frame(number) == large


async def test_a_long_list_comes_in_pages(scene):
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
        posted = [
            await lead.post_message(scene.run, None, scene.frame(scene.coordinator, round_=number, body=bytes(32_000)))
            for number in range(40)
        ]
        page = await first.messages()
        assert 30 <= len(page) < 40  # about a mebibyte of frames
        rest = await first.messages(after=page[-1].id)
        assert [found.id for found in page + rest] == posted


async def test_a_payload_travels_with_its_message(scene):
    data = os.urandom(5 << 20)
    to = scene.coordinator.public
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
        blob = await first.upload(scene.run, data, size=len(data), digest=sha256(data).digest(), to=to)
        assert blob == await first.upload(scene.run, data, size=len(data), digest=sha256(data).digest(), to=to)
        await first.post_message(scene.run, to, scene.frame(scene.first), blob)
        (message,) = await lead.messages()
        assert (message.payload.id, message.payload.size) == (blob, len(data))
        assert message.payload.digest == sha256(data).digest()
        assert b"".join([piece async for piece in lead.download(blob)]) == data
        assert b"".join([piece async for piece in first.download(blob)]) == data


async def test_payloads_come_from_files_and_from_pieces(scene, tmp_path):
    data = os.urandom((4 << 20) + 12_345)
    file = tmp_path / "payload"
    file.write_bytes(data)
    pieces = (data[at : at + 70_001] for at in range(0, len(data), 70_001))
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
        for to, parts in ((scene.first.public, file), (None, pieces)):
            blob = await lead.upload(scene.run, parts, size=len(data), digest=sha256(data).digest(), to=to)
            assert b"".join([piece async for piece in first.download(blob)]) == data


async def test_a_site_that_left_is_out_of_its_runs(scene):
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
        before = await lead.post_message(scene.run, None, scene.frame(scene.coordinator))
        await first.answer(scene.project, "left")
        await lead.post_message(scene.run, None, scene.frame(scene.coordinator, kind=2))
        assert [found.id for found in await first.messages()] == [before]
        posting = first.post_message(scene.run, scene.coordinator.public, scene.frame(scene.first))
        assert (await refused(posting)).type == "not-found"
        writing = lead.post_message(scene.run, scene.first.public, scene.frame(scene.coordinator, recipient=1))
        assert (await refused(writing)).type == "forbidden"


async def test_a_run_that_is_over_takes_no_more_frames(scene):
    frame = scene.frame(scene.first)
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as first:
        number = await first.post_message(scene.run, scene.coordinator.public, frame)
        await lead.change_run(scene.run, "running", "completed")
        late = first.post_message(scene.run, scene.coordinator.public, scene.frame(scene.first, kind=2))
        error = await refused(late)
        assert (error.type, error.state) == ("conflict", "completed")
        assert await first.post_message(scene.run, scene.coordinator.public, frame) == number  # said before it ended
        assert [found.id for found in await lead.messages()] == [number]
