"""A site's state machine in its journal, as one site of a cohort, and the ledger's record of it."""

from pathlib import Path
from uuid import UUID

import pytest

from participant.daemon.epoch import RunContext, SiteRun
from participant.policy.rules import Policy
from participant.records.ledger import TABLES, ConfirmedProject, Ledger
from participant.study.terms import ProjectTerms
from relay.party.journal import Journal
from secagg.envelope import Frame
from secagg.errors import FaultyCoordinatorError
from secagg.messages import Manifest, Result, Survivors
from secagg.params import LossRule
from secagg.protocol.participant_round import AwaitConfirmation
from secagg.protocol.step import Event, Withhold
from tests.support.party import Parcel
from tests.support.playbook import PROJECT, RUN, Play

TERMS = ProjectTerms(
    purpose="a mean",
    dataset="lung",
    columns=("age",),
    statistics=("moments",),
    profile="malicious",
    loss_rule="pause",
    minimum_sites=3,
)


class Kept:
    """A site whose every step goes through the journal."""

    def __init__(self, play: Play, journal: Journal) -> None:
        confirmed = ConfirmedProject(play.roster, b"the terms")
        roster = play.roster
        context = RunContext(UUID(bytes=RUN), UUID(bytes=PROJECT), roster.coordinator, TERMS, len(roster.sites))
        identity = play.parties[1].identity
        self.journal = journal
        self.run = SiteRun.invited(context, play.frame(Manifest), confirmed, Policy(), journal, identity)

    @property
    def state(self):
        return self.run.state

    def receive(self, parcel: Parcel) -> list[Parcel]:
        self.run.receive(parcel.frame.encode(), parcel.payload, self.journal.position + 1, Policy())
        return self._sent()

    def tell(self, event: Event) -> list[Parcel]:
        self.run.tell(event)
        return self._sent()

    def _sent(self) -> list[Parcel]:
        sent = []
        for one in self.journal.outgoing():
            sent.append(Parcel(Frame.decode(one.frame), one.payload.read_bytes() if one.payload else b""))
            self.journal.delivered(one)
        return sent


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "party", TABLES)
    yield made
    made.close()


def epoch(journal: Journal, **terms) -> Play:
    play = Play(4, loss_rule=LossRule.PAUSE, **terms)
    play.parties[1] = Kept(play, journal)
    return play


def test_a_confirmed_set_bounds_the_next_epoch_of_the_run(journal: Journal) -> None:
    ledger, first = Ledger(journal.connection), epoch(journal)
    first.until(Survivors)
    assert ledger.survivors(UUID(bytes=RUN)) == ()
    first.until(Result)
    assert ledger.survivors(UUID(bytes=RUN)) == first.plan.sites
    assert [entry["round"] for entry in ledger.entries() if entry["what"] == "survivors"] == [1]

    lax = epoch(journal, epoch=2, first_round=2)
    with pytest.raises(FaultyCoordinatorError, match="V-0317"):
        lax.parties[1].receive(lax.parcel(Manifest))
    strict = epoch(journal, epoch=2, first_round=2, slack=None).until(Result)
    assert [entry["round"] for entry in ledger.entries() if entry["what"] == "survivors"] == [1, 2]
    assert ledger.survivors(UUID(bytes=RUN)) == strict.plan.sites


def test_an_epoch_that_is_joined_ends_the_earlier_ones(journal: Journal) -> None:
    """Else two setups could go side by side, and the second one lose a site after a sum of the first."""
    first = epoch(journal).until(Survivors)
    second = epoch(journal, epoch=2, first_round=2)
    second.parties[1].receive(second.parcel(Manifest))
    assert journal.machines() == [second.parties[1].run.name]
    assert journal.machines() != [first.parties[1].run.name]


def test_a_set_that_is_withheld_from_binds_nobody(journal: Journal) -> None:
    play, ledger = epoch(journal).until(Survivors), Ledger(journal.connection)
    site = play.parties[1]
    site.receive(play.parcel(Survivors))
    assert isinstance(site.state, AwaitConfirmation)
    site.tell(Withhold())
    assert ledger.survivors(UUID(bytes=RUN)) == ()
    assert ledger.entries() == []
