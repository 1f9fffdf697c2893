"""Amendments: next versions of a project's plan, their proposal to the sites, and the sites' answers.

A version is signed with the coordinator's key and sent to each site as a parcel, and to the coordinator itself, so that
another machine of it finds the versions again. Sites answer with parcels as well. A run executes one version, over the
sites that agreed to it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from coordinator.projects.projects import SealedProject, sealed
from participant.study.amended import AGREED, AMENDMENT, DECLINED, RUN_NAME, check_amendment
from participant.study.terms import ProjectTerms
from relay.client.parcels import Parcels
from relay.client.transport import RelayClient, RelayRun
from secagg.amendment import FIRST_VERSION, AmendedRoster, Amendment, versions
from secagg.errors import ParameterError
from secagg.identity import Identity


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """A version of a project's plan, and the sites that agreed to it or declined it."""

    amended: AmendedRoster
    terms: ProjectTerms
    agreed: frozenset[bytes]
    declined: frozenset[bytes]

    def of(self, project: SealedProject) -> SealedProject:
        """Return the project in this version, with the sites that confirmed its roster and agreed to the version."""
        return replace(
            project,
            project=replace(project.project, terms=self.amended.terms),
            terms=self.terms,
            roster=self.amended.roster,
            confirmed=tuple(key for key in project.confirmed if key in self.agreed),
        )


async def history(relay: RelayClient, identity: Identity, project: SealedProject) -> tuple[PlanVersion, ...]:
    """Return all versions of a project under its present roster, oldest first."""
    first = AmendedRoster(FIRST_VERSION, project.roster, project.project.terms)
    amendments: list[Amendment] = []
    answers: dict[bytes, dict[bytes, str]] = defaultdict(dict)  # by roster's digest, then by site
    for run in await _runs(relay, project.project.id):
        parcels, last = Parcels(relay, identity, run.id, leads=True), 0
        while batch := await parcels.receive(last):
            last = batch[-1].id
            for parcel in batch:
                if parcel.fault is None and parcel.name == AMENDMENT and parcel.author == identity.public:
                    amendments.append(Amendment.decode(parcel.text))
                elif parcel.fault is None and parcel.name in {AGREED, DECLINED}:
                    answers[parcel.text][parcel.author] = parcel.name
    found = []
    for one in versions(first, amendments):
        said = answers[one.roster.digest()]
        agreed = frozenset(key for key, answer in said.items() if answer == AGREED)
        if one.version == FIRST_VERSION:
            agreed = frozenset(project.confirmed)
        found.append(PlanVersion(one, ProjectTerms.decode(one.terms), agreed, frozenset(said) - agreed))
    return tuple(found)


async def propose(
    relay: RelayClient, identity: Identity, project: SealedProject, terms: ProjectTerms
) -> tuple[PlanVersion, ...]:
    """Propose the next version of a project's plan to all sites of its roster; return all versions.

    Raises:
        AmendmentError: it changes what every version must keep.
        ParameterError: it changes nothing.
    """
    known = await history(relay, identity, project)
    check_amendment([one.terms for one in known], terms)
    content = terms.encode()
    if content == known[-1].amended.terms:
        raise ParameterError("the plan is that of the newest version; nothing was proposed")
    amendment = Amendment.sign(identity, known[-1].amended, content)
    found = [run for run in await _runs(relay, project.project.id) if run.roster_version == project.roster_version]
    run = found[0] if found else await relay.create_run(project.project.id, uuid4(), RUN_NAME)
    parcels = Parcels(relay, identity, run.id, leads=True)
    for key in (identity.public, *project.roster.sites):  # first to itself: no site has what this machine lacks
        await parcels.send_log(key, AMENDMENT, amendment.encode())
    made = amendment.follow(known[-1].amended)
    return (*known, PlanVersion(made, terms, frozenset(), frozenset()))


async def runnable(
    relay: RelayClient, identity: Identity, project: UUID, *, terms: bytes | None = None, number: int | None = None
) -> SealedProject:
    """Return a project in the version to run.

    Args:
        relay: client of this coordinator.
        identity: identity of this coordinator.
        project: ID of the project.
        terms: terms of a run that has begun; only the version with these will do.
        number: number of the version; by default the newest that at least `minimum_sites` sites agreed to.

    Raises:
        ParameterError: the roster is not sealed, another identity coordinates the project, or there is no such version.
    """
    found = await sealed(relay, project)
    known = [one for one in await history(relay, identity, found) if terms in {None, one.amended.terms}]
    if number is not None:
        known = [one for one in known if one.amended.version == number]
    if not known:
        raise ParameterError("the project has no such version; see: project show")
    return _newest(known, found).of(found)


def _newest(known: Sequence[PlanVersion], project: SealedProject) -> PlanVersion:
    agreed = [one for one in known if len(one.of(project).confirmed) >= one.terms.minimum_sites]
    return (agreed or known)[-1]


async def _runs(relay: RelayClient, project: UUID) -> list[RelayRun]:
    return [run for run in await relay.runs(project) if run.name == RUN_NAME]
