"""A project's catalogue through a real relay: requested, answered by sites, and sealed in transit."""

import pytest

from coordinator.projects.catalogue import gather, received
from participant.projects.catalogue import send_entry
from participant.records.ledger import TABLES, Ledger
from participant.study.catalogue import Band, CatalogueEntry, HeldVariable
from participant.study.terms import ProjectTerms
from relay.party.journal import Journal
from secagg.errors import ParameterError
from secagg.identity import Roster

TERMS = ProjectTerms(purpose="p", dataset="lung", columns=("age",), statistics=("counts",))


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "site", TABLES)
    yield journal
    journal.close()


def confirm(journal, scene, coordinator) -> None:
    sites = [scene.first.public, scene.second.public]
    roster = Roster.of(scene.project.bytes, TERMS.encode(), coordinator.public, sites)
    with journal.transaction() as batch:
        Ledger(batch.connection).confirm(scene.project, roster, TERMS.encode())


def entry(scene, version: int = 1) -> CatalogueEntry:
    age = HeldVariable(code="age", type="integer", mapped=False, missing="some")
    return CatalogueEntry(
        project=scene.project.hex, dataset="lung", version=version, rows=Band.of(100), variables=(age,)
    )


async def test_asked_sent_and_shown(scene, journal) -> None:
    names = {scene.first.public: "north", scene.second.public: "south"}
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as site:
        with pytest.raises(ParameterError, match="no officer of this site has confirmed"):
            await send_entry(entry(scene), scene.first, journal, site)
        confirm(journal, scene, scene.coordinator)
        with pytest.raises(ParameterError, match="has not asked"):
            await send_entry(entry(scene), scene.first, journal, site)
        assert Ledger(journal.connection).entries() == []
        assert await received(lead, scene.coordinator, scene.project) is None
        assert await received(lead, scene.coordinator, scene.project) == {}
        for version in (1, 2):
            await send_entry(entry(scene, version), scene.first, journal, site)
        sent = await received(lead, scene.coordinator, scene.project)
        assert sent is not None
        assert len(sent) == 2
        assert gather(scene.project, TERMS, names, sent).entries == {"north": entry(scene, 2)}
        assert [noted["dataset_version"] for noted in Ledger(journal.connection).entries()] == [1, 2]
        assert await lead.messages() == []  # nothing for the daemons


async def test_an_entry_is_sealed_to_the_coordinator_that_the_officer_confirmed(scene, journal) -> None:
    """A relay that names another coordinator learns nothing: the parcel opens for the confirmed one alone."""
    confirm(journal, scene, scene.rival)
    async with scene.client(scene.coordinator) as lead, scene.client(scene.first) as site:
        assert await received(lead, scene.coordinator, scene.project) is None
        with pytest.raises(Exception, match=r"forbidden|not-found|bad-frame|bad-request|conflict"):
            await send_entry(entry(scene), scene.first, journal, site)
        assert await received(lead, scene.coordinator, scene.project) == {}
