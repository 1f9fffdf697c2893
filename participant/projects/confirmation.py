"""A site's view of its projects, and the officer's confirmation of a roster."""

from dataclasses import dataclass
from uuid import UUID

from participant.policy.rules import Offer, Policy
from participant.records.ledger import ConfirmedProject, Ledger
from participant.study.terms import ProjectTerms
from relay.client.transport import MemberState, RelayClient, RelayProject
from relay.party.journal import Journal
from relay.service.designation import designated
from secagg.errors import ParameterError
from secagg.identity import Identity, Roster


@dataclass(frozen=True, slots=True)
class View:
    """A project as the relay shows it, with its decoded terms, and its roster once sealed."""

    project: RelayProject
    terms: ProjectTerms
    roster: Roster | None

    @property
    def offer(self) -> Offer:
        return Offer(self.project.id, self.project.coordinator, self.terms)


async def find(relay: RelayClient, given: str) -> UUID:
    """Return the ID of a project that this site was invited to, given by name, ID or the ID's beginning.

    Raises:
        ParameterError: no project has it, or several do.
    """
    known = {one.id: one.name for one in await relay.projects()}
    return designated(given, known, "project", see="secagg-participant project list")


async def view(relay: RelayClient, project: UUID) -> View:
    """Fetch a project. The roster's words are computed here, from exactly what would be confirmed."""
    found = await relay.project(project)
    roster = None
    if found.roster is not None:
        roster = Roster.of(found.id.bytes, found.terms, found.coordinator, found.roster.sites)
    return View(found, ProjectTerms.decode(found.terms), roster)


async def agree(
    relay: RelayClient,
    journal: Journal,
    identity: Identity,
    policy: Policy,
    project: UUID,
    words: str,
    plan: str | None = None,
) -> View:
    """Confirm a project's roster, terms and plan by the words that the coordinator's officer gave.

    Args:
        relay: client of this site.
        journal: journal of the site.
        identity: identity of the site.
        policy: policy, which says whether the officer must have read the plan.
        project: ID of the project.
        words: twelve words, heard over another channel.
        plan: code of the plan that the officer read, or None.

    Raises:
        RefusedError: the policy requires the plan's code, and `plan` is not it.
        ParameterError: the roster is not sealed yet, lacks this site, or has other words. Nothing
            changes then.
    """
    seen = await view(relay, project)
    if seen.roster is None or seen.project.roster is None:
        raise ParameterError("the project has no roster yet; its coordinator seals it once all sites have answered")
    if identity.public not in seen.roster.sites:
        raise ParameterError("this site is not in the project's roster")
    seen.roster.confirm(words)
    policy.check_agreement(seen.terms, plan)
    with journal.transaction() as batch:
        Ledger(batch.connection).confirm(project, seen.roster, seen.project.terms)
    await relay.answer(project, MemberState.CONFIRMED, roster_version=seen.project.roster.version)
    return seen


async def leave(relay: RelayClient, journal: Journal, project: UUID) -> None:
    """Decline or leave a project: the site signs nothing more for it, and the coordinator sees that."""
    with journal.transaction() as batch:
        Ledger(batch.connection).forget(project)
    invited = any(one.id == project and one.membership is MemberState.INVITED for one in await relay.projects())
    await relay.answer(project, MemberState.DECLINED if invited else MemberState.LEFT)


def confirmed(journal: Journal, project: UUID) -> ConfirmedProject | None:
    """Return a project as this site's officer confirmed it, or None."""
    return Ledger(journal.connection).confirmed(project)
