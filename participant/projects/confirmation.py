"""A site's view of its projects, and the officer's confirmation of a roster."""

from dataclasses import dataclass
from uuid import UUID

from participant.policy.rules import Offer
from participant.records.ledger import ConfirmedProject, Ledger
from participant.study.terms import ProjectTerms
from relay.client.transport import MemberState, RelayClient, RelayProject
from relay.party.journal import Journal
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


async def view(relay: RelayClient, project: UUID) -> View:
    """Fetch a project. The roster's words are computed here, from exactly what would be confirmed."""
    found = await relay.project(project)
    roster = None
    if found.roster is not None:
        roster = Roster.of(found.id.bytes, found.terms, found.coordinator, found.roster.sites)
    return View(found, ProjectTerms.decode(found.terms), roster)


async def accept(relay: RelayClient, journal: Journal, identity: Identity, project: UUID, words: str) -> View:
    """Confirm a project's roster by the words that the coordinator's officer gave over another channel.

    Raises:
        ParameterError: the roster is not sealed yet, lacks this site, or has other words. Nothing changes then.
    """
    seen = await view(relay, project)
    if seen.roster is None or seen.project.roster is None:
        raise ParameterError("the project has no roster yet; its coordinator seals it once all sites have answered")
    if identity.public not in seen.roster.sites:
        raise ParameterError("this site is not in the project's roster")
    seen.roster.confirm(words)
    with journal.transaction() as batch:
        Ledger(batch.connection).confirm(project, seen.roster, seen.project.terms)
    await relay.answer(project, MemberState.CONFIRMED, roster_version=seen.project.roster.version)
    return seen


async def leave(relay: RelayClient, journal: Journal, project: UUID) -> None:
    """Leave a project: the site signs nothing more for it, and the coordinator sees that the site left."""
    with journal.transaction() as batch:
        Ledger(batch.connection).forget(project)
    await relay.answer(project, MemberState.LEFT)


def confirmed(journal: Journal, project: UUID) -> ConfirmedProject | None:
    """Return what this site's officer confirmed, or None."""
    return Ledger(journal.connection).confirmed(project)
