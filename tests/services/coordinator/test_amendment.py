"""A plan is amended: each site takes part in the versions that its officer agreed to, and nothing is reset."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from uuid import UUID

import pytest

from coordinator.projects import amendments as proposals
from coordinator.projects.amendments import PlanVersion, runnable
from coordinator.projects.projects import sealed
from coordinator.runs.lifecycle import Order, RunOutcome, begin, carry_out
from coordinator.session.progress import nowhere
from coordinator.session.session import Session
from participant.data.store.store import DatasetStore
from participant.policy.rules import RefusedError
from participant.projects import amendments
from participant.projects.plan_view import amendment_views
from participant.records.ledger import TABLES, Ledger
from participant.study.amended import AmendmentError
from participant.study.review import code_of
from participant.study.terms import ProjectTerms
from relay.client.transport import RelayClient
from relay.party.journal import Journal
from secagg.errors import NotEnoughParticipantsError, ParameterError
from tests.support.cohort import Cohort, CohortSite
from tests.support.plans import KAPLAN_MEIER, LOGISTIC, planned

CURVE = KAPLAN_MEIER | {"grid": {"width": 7, "count": 30}}
MODEL = {key: value for key, value in LOGISTIC.items() if key != "categories"} | {"formula": "status ~ age"}
FIRST = planned({**CURVE, "releases": 1}, minimum_persons=1, loss_rule="continue", minimum_sites=3)
SECOND = planned({**CURVE, "releases": 2}, MODEL, minimum_persons=1, loss_rule="continue", minimum_sites=3)


@asynccontextmanager
async def officer(there: Cohort, site: CohortSite) -> AsyncIterator[tuple[RelayClient, Journal]]:
    with closing(Journal(site.folder, TABLES)) as journal:
        async with there.settings().client(site.identity) as relay:
            yield relay, journal


async def decides(there: Cohort, site: CohortSite, project: UUID, *, agrees: bool, code: str | None) -> None:
    async with officer(there, site) as (relay, journal):
        known = await amendments.history(relay, site.identity, Ledger(journal.connection), project)
        chosen = amendments.named(known, None)
        store = DatasetStore(site.folder / "datasets")
        [view] = amendment_views(known, store)
        assert view.changes[:2] == (
            "the task curve may be started 2 times instead of 1; earlier starts count",
            "adds the task model, which may be started 3 times",
        )
        assert "you have not decided" in view.words()
        if agrees:
            await amendments.agree(relay, journal, site.identity, site.policy, store, known, chosen, code)
        else:
            await amendments.decline(relay, journal, site.identity, chosen)


async def proposed(session: Session, project: UUID, terms: ProjectTerms) -> tuple[PlanVersion, ...]:
    return await proposals.propose(session.relay, session.identity, await sealed(session.relay, project), terms)


async def done(session: Session, project: UUID, name: str, number: int | None = None) -> RunOutcome:
    found = await runnable(session.relay, session.identity, project, number=number)
    task = dict(found.terms.plan.specs("lung"))[name]
    return await carry_out(begin(session, found, Order(tasks=(task,))), found, session, nowhere)


async def test_sites_take_part_in_the_versions_that_they_agreed_to_and_starts_count_in_all(four: Cohort) -> None:
    project = await four.project(**dict(FIRST))
    *willing, unwilling = four.sites
    async with four.session() as session:
        four.assert_pooled(await done(session, project, "curve"))
        await proposed(session, project, SECOND)
        with pytest.raises(ParameterError, match="nothing was proposed"):
            await proposed(session, project, SECOND)
        with pytest.raises(AmendmentError, match="cannot change row_limit"):
            await proposed(session, project, planned(CURVE, minimum_persons=1, loss_rule="continue", row_limit=999))
        with pytest.raises(RefusedError, match="agree: read the project's plan"):
            await decides(four, willing[0], project, agrees=True, code=None)
        for site in willing:
            await decides(four, site, project, agrees=True, code=code_of(SECOND))
        await decides(four, unwilling, project, agrees=False, code=None)
        found = await sealed(session.relay, project)
        [first, second] = await proposals.history(session.relay, session.identity, found)
        assert first.agreed == {site.identity.public for site in four.sites}
        assert second.agreed == {site.identity.public for site in willing}
        assert second.declined == {unwilling.identity.public}

        result = (await done(session, project, "model")).results[0]
        assert result.sites == tuple(site.name for site in willing)
        await done(session, project, "curve")  # its second start
        with pytest.raises(NotEnoughParticipantsError, match="no releases left"):
            await done(session, project, "curve")
        with pytest.raises(NotEnoughParticipantsError, match="no releases left"):  # nor in the first version
            await done(session, project, "curve", number=1)
    async with officer(four, willing[0]) as (_, journal):
        ledger = Ledger(journal.connection)
        assert [one.version for one in ledger.versions(project)] == [1, 2]
        [entry] = [one for one in ledger.entries() if one["what"] == "version-agreed"]
        assert (entry["version"], entry["plan"]) == (2, code_of(SECOND))


async def test_a_version_that_a_site_did_not_agree_to_is_refused_by_name(
    four: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that claims agreement gets no signature under the manifest."""
    project = await four.project(**dict(FIRST))
    async with four.session(step_s=5.0) as session:
        versions = await proposed(session, project, SECOND)
        found = await sealed(session.relay, project)
        claimed = PlanVersion(versions[-1].amended, SECOND, frozenset(found.confirmed), frozenset()).of(found)
        task = dict(SECOND.plan.specs("lung"))["model"]
        run = begin(session, claimed, Order(tasks=(task,)))
        with pytest.raises(NotEnoughParticipantsError, match="refused: agree: no officer of this site has agreed"):
            await carry_out(run, claimed, session, nowhere)
    assert [site.uploads for site in four.sites] == [[]] * 4
