"""A real relay process, with a coordinator and its sites as clients, all of them in this process."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from coordinator.demo.stage import Stage, command
from coordinator.journal.schema import TABLES
from relay.client.outbox import deliver
from relay.client.transport import MemberState, Message, RelayClient, RunState
from relay.party.journal import Journal
from secagg.identity import Identity, Roster


@dataclass(frozen=True)
class Member:
    """A party: its identity, its connection and its durable journal."""

    identity: Identity
    relay: RelayClient
    journal: Journal

    async def mail(self) -> list[Message]:
        """Wait for the next messages."""
        return await self.relay.messages(self.journal.position, 30)

    async def payload_of(self, message: Message) -> bytes | None:
        if message.payload is None:
            return None
        return b"".join([part async for part in self.relay.download(message.payload.id)])

    async def deliver(self) -> None:
        await deliver(self.journal, self.relay)


@dataclass(frozen=True)
class Scene:
    """The parties. `sites` are in the order of the roster, so that index i of a manifest is `sites[i - 1]`."""

    project: UUID
    coordinator: Member
    sites: list[Member]
    url: str

    @property
    def roster(self) -> Roster:
        keys = (site.identity.public for site in self.sites)
        return Roster.of(self.project.bytes, b"bench", self.coordinator.identity.public, keys)

    async def run(self) -> UUID:
        """Open a run with all sites."""
        run, relay = uuid4(), self.coordinator.relay
        await relay.create_run(self.project, run, "bench")
        await relay.change_run(run, RunState.CREATED, RunState.PREPARING)
        await relay.change_run(run, RunState.PREPARING, RunState.RUNNING)
        return run


@asynccontextmanager
async def scene(folder: Path, n: int) -> AsyncIterator[Scene]:
    """Start a relay, enrol a coordinator and n sites, and create a project whose roster all of them have confirmed."""
    stage = Stage.build(folder, {}, {}, 0)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stage.close)
        await stage.open_relay()
        head = await _member(stack, stage, "coordinator", "coordinator", Identity(os.urandom(32)))
        identities = sorted((Identity(os.urandom(32)) for _ in range(n)), key=lambda one: one.public)
        sites = [await _member(stack, stage, "site", f"site-{i}", one) for i, one in enumerate(identities, 1)]
        project = uuid4()
        await head.relay.create_project(project, "bench", b"bench")
        for site in sites:
            await head.relay.invite(project, site.identity.public)
            await site.relay.answer(project, MemberState.JOINED)
        roster = await head.relay.seal_roster(project, [site.identity.public for site in sites])
        for site in sites:
            await site.relay.answer(project, MemberState.CONFIRMED, roster_version=roster.version)
        yield Scene(project, head, sites, stage.url)


async def _member(stack: AsyncExitStack, stage: Stage, role: str, name: str, identity: Identity) -> Member:
    options: Mapping[str, str] = {"--data": str(stage.relay_folder), "--role": role, "--label": name}
    made = await command(
        ["relay", "token", "create", "--json", *(word for pair in options.items() for word in pair)], {}
    )
    client = await stack.enter_async_context(RelayClient(stage.url, identity))
    await client.enrol(made["token"], name)
    journal = Journal(stage.folder / name, TABLES)
    stack.callback(journal.close)
    journal.lock()
    return Member(identity, client, journal)
