"""Amendments from the site's side: later versions of a project's plan, and the officer's answer to each.

The coordinator sends each version to every site as a parcel, signed with the key that the officer confirmed by words.
The relay cannot read, change or add one; it can only withhold it, and then this site stays with the version before.
"""

import getpass
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from participant.data.store.store import DatasetStore
from participant.policy.rules import Offer, Policy
from participant.records.ledger import ConfirmedProject, Ledger
from participant.study.amended import AGREED, AMENDMENT, DECLINED, RUN_NAME, check_amendment, with_earlier
from participant.study.review import code_of
from participant.study.terms import ProjectTerms
from relay.client.parcels import Parcels
from relay.client.transport import RelayClient
from relay.party.journal import Journal
from secagg.amendment import FIRST_VERSION, AmendedRoster, Amendment, versions
from secagg.errors import DecodeError, ParameterError
from secagg.identity import Identity


@dataclass(frozen=True, slots=True)
class ProjectVersion:
    """A version of a project's plan as the site has it.

    Attributes:
        amended: its number, roster and terms.
        terms: its terms, decoded.
        agreed: what the officer decided, None if nothing yet.
        run: relay run whose parcels brought it; None for the first version.
    """

    amended: AmendedRoster
    terms: ProjectTerms
    agreed: bool | None
    run: UUID | None

    @property
    def number(self) -> int:
        return self.amended.version


async def history(relay: RelayClient, identity: Identity, ledger: Ledger, project: UUID) -> tuple[ProjectVersion, ...]:
    """Return all versions of a confirmed project, oldest first; none if it is not confirmed.

    Raises:
        FaultyCoordinatorError: an amendment is not the coordinator's, or does not follow the version before.
        TermsError: the terms of a version are malformed.
    """
    known = ledger.versions(project)
    if not known:
        return ()
    first = AmendedRoster(FIRST_VERSION, known[0].roster, known[0].terms)
    found = await _received(relay, identity, project, known[0])
    decided = ledger.decided(project)
    return tuple(
        ProjectVersion(
            one,
            ProjectTerms.decode(one.terms),
            True if one.version == FIRST_VERSION else decided.get(one.version),
            next((run for amendment, run in found if amendment.terms == one.terms), None),
        )
        for one in versions(first, (amendment for amendment, _ in found))
    )


def named(known: Sequence[ProjectVersion], number: int | None) -> ProjectVersion:
    """Return the amendment of this number, by default the newest one without a decision.

    Raises:
        ParameterError: there is none.
    """
    later = [one for one in known if one.number > FIRST_VERSION]
    if number is None:
        later = [one for one in later if one.agreed is None]
    else:
        later = [one for one in later if one.number == number]
    if not later:
        raise ParameterError("the project has no such amendment; see: project show")
    return later[-1]


async def agree(
    relay: RelayClient,
    journal: Journal,
    identity: Identity,
    policy: Policy,
    store: DatasetStore,
    known: Sequence[ProjectVersion],
    chosen: ProjectVersion,
    plan: str | None,
) -> None:
    """Agree to a version; its keys are those that were confirmed, so it needs no words.

    Args:
        relay: client of this site.
        journal: journal of the site.
        identity: identity of the site.
        policy: policy, which the version's terms must satisfy, and which says whether its code is required.
        store: the site's datasets.
        known: all versions of the project.
        chosen: the version.
        plan: code of its plan, or None.

    Raises:
        AmendmentError: the version changes what it must keep.
        RefusedError: the policy or the data do not allow it, or the plan's code is missing or wrong.
    """
    earlier = [one.terms for one in known if one.number < chosen.number]
    check_amendment(earlier, chosen.terms)
    roster = chosen.amended.roster
    policy.check_offer(Offer(UUID(bytes=roster.project), roster.coordinator, chosen.terms))
    policy.check_dataset(chosen.terms, store.describe(chosen.terms.dataset))
    policy.check_agreement(with_earlier(earlier, chosen.terms), plan, code=code_of(chosen.terms))
    _enter(journal, chosen, agreed=True)
    await _answer(relay, identity, chosen, AGREED)


async def decline(relay: RelayClient, journal: Journal, identity: Identity, chosen: ProjectVersion) -> None:
    """Decline a version, also one that was agreed to; this site takes part in the others as before."""
    _enter(journal, chosen, agreed=False)
    await _answer(relay, identity, chosen, DECLINED)


def _enter(journal: Journal, chosen: ProjectVersion, *, agreed: bool) -> None:
    project = UUID(bytes=chosen.amended.roster.project)
    with journal.transaction() as batch:
        ledger = Ledger(batch.connection)
        ledger.amend(project, chosen.amended, agreed=agreed)
        ledger.enter(
            {
                "what": "version-agreed" if agreed else "version-declined",
                "at": round(time.time(), 3),
                "by": getpass.getuser(),
                "project": str(project),
                "version": chosen.number,
                "plan": code_of(chosen.terms),
            }
        )


async def _answer(relay: RelayClient, identity: Identity, chosen: ProjectVersion, answer: str) -> None:
    """Tell the coordinator; it can use only what this site's daemon then signs."""
    assert chosen.run is not None  # it is an amendment
    parcels = Parcels(relay, identity, chosen.run, leads=False)
    await parcels.send_log(chosen.amended.roster.coordinator, answer, chosen.amended.roster.digest())


async def _received(
    relay: RelayClient, identity: Identity, project: UUID, first: ConfirmedProject
) -> list[tuple[Amendment, UUID]]:
    """Return the amendments that the coordinator sent, each with the run whose parcel brought it."""
    found = []
    for run in await relay.runs(project):
        if run.name != RUN_NAME:
            continue
        parcels, last = Parcels(relay, identity, run.id, leads=False), 0
        while batch := await parcels.receive(last):
            last = batch[-1].id
            for parcel in batch:
                if (parcel.name, parcel.author, parcel.fault) == (AMENDMENT, first.roster.coordinator, None):
                    try:
                        found.append((Amendment.decode(parcel.text), run.id))
                    except DecodeError:
                        continue
    return found
