"""Attacks by the manifest: an epoch of chosen sites, and an epoch weaker than the terms that officers confirmed.

*Before* shows that the protocol alone accepts it (`Outside`, with the same policy's floors); *after* is a site's whole
decision. The manifests are the coordinator's real, signed ones.
"""

import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from participant.daemon.epoch import RunContext, SiteRun
from participant.policy.rules import Policy, RefusedError
from participant.records.ledger import TABLES, ConfirmedProject
from participant.study.terms import ProjectTerms
from relay.party.journal import Journal
from secagg.envelope import Frame
from secagg.identity import Identity, Roster
from secagg.params import LossRule, Profile
from secagg.protocol.coordinator_setup import Plan, announce
from secagg.protocol.participant_setup import AwaitCohort, Outside
from secagg.protocol.step import StepInputs
from secagg.protocol.table import receive

PROJECT, RUN = UUID(int=1), UUID(int=2)
HEAD, *SITES = (Identity(bytes([number]) * 32) for number in range(1, 12))  # ten sites
LAX = Policy(profile="semi-honest", loss_rule="pause")


def confirmed(**terms: Any) -> ConfirmedProject:
    said = {"purpose": "p", "dataset": "lung", "columns": ("age",), "statistics": ("counts",), **terms}
    data = ProjectTerms.model_validate(said).encode()
    return ConfirmedProject(Roster.of(PROJECT.bytes, data, HEAD.public, [one.public for one in SITES]), data)


def manifest(seen: ConfirmedProject, sites: int, **plan: Any) -> Frame:
    """The manifest of an epoch of the first sites of the roster, the one that is asked among them."""
    hour = int(time.time()) + 3600
    members = [SITES[0].public, *(key for key in seen.roster.sites if key != SITES[0].public)][:sites]
    terms = Plan(
        roster=seen.roster,
        sites=tuple(members),
        run=RUN.bytes,
        rounds=1,
        setup_deadline=hour,
        expires=hour,
        **{"loss_rule": LossRule.PAUSE, **plan},
    )
    [send] = announce(terms, StepInputs(identity=HEAD, rand=bytes(32))).effects
    return send.frame  # type: ignore[union-attr]


def passes_the_protocol(seen: ConfirmedProject, frame: Frame, policy: Policy) -> bool:
    outside = Outside(roster=seen.roster, run=RUN.bytes, floors=policy.floors, last_epoch=0, survivors=())
    step = receive(outside, frame.encode(), StepInputs(identity=SITES[0], rand=bytes(32)), None)
    return isinstance(step.state, AwaitCohort)


def decided(seen: ConfirmedProject, frame: Frame, policy: Policy, folder: Path) -> tuple[str, ...]:
    """Return the rules for which a site does not join, none if it does."""
    journal = Journal(folder / "party", TABLES)
    try:
        context = RunContext.of(RUN, PROJECT, seen)
        site = SiteRun.invited(context, frame, seen, policy, journal, SITES[0])
        site.receive(frame.encode(), None, 1, policy)
    except RefusedError as refusal:
        assert not journal.machines()
        return refusal.rules
    finally:
        journal.close()
    return ()


@pytest.mark.parametrize(("sites", "honest"), [(3, 1), (4, 1), (6, 3)])
def test_an_epoch_of_chosen_sites(tmp_path: Path, sites: int, honest: int) -> None:
    """Of ten sites three may collude. With one honest site left in an epoch, its sum is the vector of that site."""
    seen = confirmed()
    frame = manifest(seen, sites)
    assert passes_the_protocol(seen, frame, Policy())
    rules = decided(seen, frame, Policy(), tmp_path)
    assert rules == ("colluders_one_in", "roster") if honest == 1 else "colluders_one_in" in rules


def test_an_epoch_of_the_sites_that_are_there_bears_the_colluders_of_the_roster(tmp_path: Path) -> None:
    seen = confirmed(minimum_sites=6)
    assert decided(seen, manifest(seen, 8, threshold=6, colluders=3, survivors=6), Policy(), tmp_path) == ()


@pytest.mark.parametrize(
    ("weaker", "rule"),
    [
        ({"sites": 5, "threshold": 5, "colluders": 3, "survivors": 5}, "terms.minimum_sites"),
        ({"profile": Profile.SEMI_HONEST, "threshold": 6, "survivors": 6}, "terms.profile"),
        ({"loss_rule": LossRule.PAUSE}, "terms.loss_rule"),
    ],
)
def test_a_manifest_that_is_weaker_than_the_terms(tmp_path: Path, weaker: dict[str, Any], rule: str) -> None:
    """The terms say eight sites, `abort` and malicious; the site's own policy would take less."""
    seen = confirmed(minimum_sites=8, loss_rule="abort")
    plan = {"sites": 10, "loss_rule": LossRule.ABORT, "threshold": 7, "colluders": 3, **weaker}
    if plan.get("profile"):
        plan |= {"colluders": 0}
    frame = manifest(seen, plan.pop("sites"), **plan)
    assert passes_the_protocol(seen, frame, LAX)
    assert decided(seen, frame, LAX, tmp_path) == (rule,)
