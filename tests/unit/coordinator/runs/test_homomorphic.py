"""Homomorphic projects at the coordinator: bounds reported in time, and a report without sums."""

from dataclasses import replace
from types import SimpleNamespace
from uuid import UUID

import pytest

from coordinator.journal.tables import ReleasedSum
from coordinator.projects.projects import seal
from coordinator.report.text import as_facts, as_words
from coordinator.runs.lifecycle import HeldBySites, RunOutcome
from participant.statistics.evaluation.bound import bind
from participant.statistics.evaluation.registry import COUNTS
from participant.statistics.vocabulary.counts import CountsParams
from participant.study.terms import ProjectTerms
from relay.api.states import MemberState
from secagg.errors import ParameterError
from secagg.identity import Identity, Roster
from secagg.messages import Suite
from secagg.params import MAX_HOMOMORPHIC_SITES
from secagg.protocol.coordinator_setup import Plan, announce
from secagg.protocol.step import StepInputs

BFV = Suite.X25519_MLKEM768_AES256_BFV


async def test_no_roster_is_sealed_that_is_too_large_for_the_mode() -> None:
    terms = ProjectTerms(purpose="p", dataset="lung", columns=("age",), statistics=("counts",), mode="he")
    member = SimpleNamespace(key=bytes(32), state=MemberState.JOINED)

    class Relay:
        async def project(self, _project: UUID) -> SimpleNamespace:
            return SimpleNamespace(terms=terms.encode(), members=[member] * (MAX_HOMOMORPHIC_SITES + 1))

    with pytest.raises(ParameterError, match="257 sites joined, but mode he allows at most 256; invite fewer sites"):
        await seal(Relay(), UUID(int=1))  # type: ignore[arg-type]  # sealing would be an AttributeError


@pytest.mark.parametrize(("sites", "degree"), [(MAX_HOMOMORPHIC_SITES + 1, 0), (40, 20)], ids=["too many", "sparse"])
def test_no_epoch_is_announced_that_every_site_would_refuse(sites: int, degree: int) -> None:
    """V-0316 is what they would say."""
    head = Identity(bytes(32))
    roster = Roster.of(bytes(16), b"terms", head.public, [i.to_bytes(32) for i in range(1, sites + 1)])
    plan = Plan(
        roster=roster,
        sites=roster.sites,
        run=bytes(16),
        rounds=1,
        setup_deadline=1,
        expires=1,
        degree=degree,
        suite=BFV,
    )
    inputs = StepInputs(identity=head, rand=bytes(32))
    with pytest.raises(ParameterError, match="need the complete graph and at most 256 sites"):
        announce(plan, inputs)
    announce(replace(plan, suite=Suite.X25519_MLKEM768_AES256), inputs)


def test_a_report_of_sums_that_the_sites_hold() -> None:
    query = bind(COUNTS.query(CountsParams(columns=("age",), row_limit=100), dataset="lung", value_bits=40))
    answer = ReleasedSum(3, 40, ("north", "south", "west"), None)
    report = RunOutcome((HeldBySites("kaplan-meier", 3, answer.survivors),), ((query, answer),), {})
    facts = as_facts(UUID(int=1), report)
    assert facts["results"] == [{"analysis": "kaplan-meier", "held_by": ["north", "south", "west"], "round": 3}]
    assert facts["rounds"][0]["numbers"] == query.layout.length
    assert "the sites hold the result of round 3: north, south, west" in as_words(report)
