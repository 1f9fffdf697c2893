"""A coordinator with many sites, whose daemons all run in this process, and a real relay in another process.

    async with cohort(folder, sites=5) as there:
        project = await there.project()
        async with there.session() as session:
            run = await there.begin(session, project)
            report = await carry_out(run, await sealed(session.relay, project), session, nowhere)

Separate processes would take ten times as long, most of it for imports. Identities are not sealed under a passphrase,
and officers do not compare words; everything else runs as in production.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from coordinator.demo.pooled import pooled, pooled_kaplan_meier
from coordinator.projects.projects import sealed
from coordinator.runs.lifecycle import Order, RunOutcome, begin
from coordinator.session.config import CoordinatorConfig
from coordinator.session.session import Session, at_work
from participant.analyses.catalogue import parse_spec
from participant.daemon.computation import Computation
from participant.daemon.daemon import Daemon
from participant.data.store.store import DatasetStore
from participant.policy.rules import Policy
from participant.records.ledger import TABLES, Ledger
from participant.settings.config import ParticipantConfig
from participant.study.terms import ProjectTerms
from relay.client.transport import MemberState
from relay.party.journal import Journal
from relay.server.store import sites as relay_sites
from relay.service.memory import Limits
from secagg.identity import Identity, Roster
from tests.support.network import KAPLAN_MEIER, table, written
from tests.support.relay_process import RelayProcess, apart
from tests.support.tables import import_csv

SPEC = parse_spec(KAPLAN_MEIER)
POLICY = Policy(without_plan="answer", loss_rule="continue", single_persons=True, minimum_site_difference=1)
PACE = {"step_s": 20.0, "grace_s": 1.0, "lease_s": 3.0, "rounds": 4}


@dataclass
class CohortSite:
    """A hospital: its identity, its folder, its table, and its daemon while it runs."""

    name: str
    folder: Path
    identity: Identity
    columns: Mapping[str, np.ndarray]
    working: asyncio.Task[None] | None = None
    policy: Policy = POLICY

    @property
    def uploads(self) -> list[dict[str, Any]]:
        """The ledger's entries for vectors that the site uploaded."""
        journal = Journal(self.folder, TABLES)
        try:
            return [entry for entry in Ledger(journal.connection).entries() if entry["what"] == "upload"]
        finally:
            journal.close()


@dataclass
class Cohort:
    folder: Path
    relay: RelayProcess
    seed: bytes
    sites: list[CohortSite]
    computation: Computation  # of all sites

    @property
    def head(self) -> Identity:
        """The coordinator's identity."""
        return Identity(self.seed)

    def settings(self, name: str = "office", **more: Any) -> CoordinatorConfig:
        """Return the coordinator's settings, with its data in a folder of this name."""
        return CoordinatorConfig(relay=self.relay.url, data=self.folder / name, **{**PACE, **more})

    @asynccontextmanager
    async def session(self, name: str = "office", **more: Any) -> AsyncIterator[Session]:
        """Open a session of the coordinator in a folder of this name."""
        settings = self.settings(name, **more)
        settings.data.mkdir(mode=0o700, exist_ok=True)
        async with at_work(settings, self.head) as session:
            yield session

    async def project(self, sites: Iterable[CohortSite] | None = None, **terms: Any) -> UUID:
        """Create a project with a roster of these sites, or of all, which everybody has confirmed."""
        members = self.sites if sites is None else list(sites)
        said = {"purpose": "a test", "dataset": "lung", "columns": ("age", "status", "time"), "loss_rule": "continue"}
        agreed = ProjectTerms.model_validate({**said, "statistics": ("event-counts", "moments"), **terms}).encode()
        project = uuid4()
        async with self.settings().client(self.head) as lead:
            await lead.create_project(project, f"project {project}", agreed)
            for site in members:
                await lead.invite(project, site.identity.public)
                async with self.settings().client(site.identity) as own:
                    await own.answer(project, MemberState.JOINED)
            roster = await lead.seal_roster(project, [site.identity.public for site in members])
        signed = Roster.of(project.bytes, agreed, self.head.public, [site.identity.public for site in members])
        for site in members:
            journal = Journal(site.folder, TABLES)
            with journal.transaction() as batch:
                Ledger(batch.connection).confirm(project, signed, agreed)
            journal.close()
            async with self.settings().client(site.identity) as own:
                await own.answer(project, MemberState.CONFIRMED, roster_version=roster.version)
        return project

    async def begin(self, session: Session, project: UUID, *tasks: dict[str, Any], **order: Any) -> UUID:
        """Enter a run of these tasks, by default one Kaplan-Meier curve."""
        specs = tuple(parse_spec(task) for task in tasks or (KAPLAN_MEIER,))
        return begin(session, await sealed(session.relay, project), Order(tasks=specs, **order))

    def wake(self, *sites: CohortSite) -> None:
        """Start the daemons of these sites, or of all that are stopped."""
        for site in sites or self.sites:
            if site.working is None:
                site.working = asyncio.create_task(_work(site, self.relay.url, self.computation))

    async def sleep(self, *sites: CohortSite) -> None:
        """Stop the sites' daemons in the middle of whatever they do."""
        for site in sites:
            if site.working is not None:
                site.working.cancel()
                with suppress(asyncio.CancelledError):
                    await site.working
                site.working = None

    def assert_pooled(self, report: RunOutcome, sites: Iterable[CohortSite] | None = None) -> None:
        """Assert that every result is the pooled curve of the patients of these sites, or of all."""
        chosen = self.sites if sites is None else list(sites)
        oracle = pooled_kaplan_meier(pooled(site.columns for site in chosen), SPEC)  # type: ignore[arg-type]
        for result in report.results:
            assert result.sites == tuple(sorted(site.name for site in chosen))
            at = np.searchsorted(result.times, oracle.times)
            np.testing.assert_allclose(result.survival[at], oracle.survival, atol=1e-12)

    def assert_nobody_masked_twice(self) -> None:
        """Assert that no site made a second vector for a query of a run, or a second frame for a slot."""
        for site in self.sites:
            asked = [(entry["run"], str(entry["query"])) for entry in site.uploads]
            assert len(asked) == len(set(asked)), site.name
        audit = self.relay.transact(lambda db: db.exec_driver_sql("SELECT action FROM audit").scalars().all())
        assert "slot.second-frame" not in audit


@asynccontextmanager
async def cohort(folder: Path, *, sites: int, seed: bytes | None = None) -> AsyncIterator[Cohort]:
    """Start a relay, enrol a coordinator and this many sites, and start their daemons."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # nothing else runs yet
    seed = seed or os.urandom(32)
    head = Identity(seed)
    members = [_site(folder, f"site {i:02}", seed=i) for i in range(1, sites + 1)]
    limits = Limits(memory_mib=4096, minutes=5)
    with RelayProcess.start(folder / "relay", environment=_UNLIMITED) as relay, Computation(limits) as computation:

        def enrol(db: Any) -> None:
            relay_sites.add(db, key=head.public, name="office", role="coordinator", now=time.time())
            for site in members:
                relay_sites.add(db, key=site.identity.public, name=site.name, role="site", now=time.time())

        relay.transact(enrol)
        there = Cohort(folder, relay, seed, members, computation)
        there.wake()
        try:
            yield there
        finally:
            await there.sleep(*members)


_UNLIMITED = {"SECAGG_RELAY_RATE_PER_ADDRESS": "100000", "SECAGG_RELAY_MAX_CONNECTIONS_PER_ADDRESS": "4000"}


def _site(folder: Path, name: str, seed: int) -> CohortSite:
    columns = table(seed)
    own = folder / name.replace(" ", "-")
    own.mkdir(mode=0o700)
    apart(lambda: import_csv(DatasetStore(own / "datasets"), "lung", written(folder / "data", name, columns)))
    return CohortSite(name, own, Identity(os.urandom(32)), columns)


async def _work(site: CohortSite, url: str, computation: Computation) -> None:
    config = ParticipantConfig(data=site.folder, relay=url, invitations_s=3600)
    journal = Journal(site.folder, TABLES)
    journal.lock()
    try:
        async with config.client(site.identity) as relay:
            await Daemon(config, site.identity, journal, relay, site.policy, computation).run(asyncio.Event())
    finally:
        journal.close()
