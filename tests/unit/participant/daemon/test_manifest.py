"""An epoch at a site: a manifest that differs from the officer's confirmation changes nothing."""

import time
from pathlib import Path
from uuid import UUID

import pytest

from participant.daemon.epoch import RunContext, SiteRun
from participant.policy.rules import Policy, RefusedError
from participant.records.ledger import TABLES, ConfirmedProject
from participant.study.terms import ProjectTerms
from relay.party.journal import Journal
from secagg.envelope import Frame
from secagg.identity import Identity, Roster
from secagg.messages import Suite
from secagg.params import LossRule
from secagg.protocol.coordinator_setup import Plan, announce
from secagg.protocol.participant_setup import AwaitCohort, Outside
from secagg.protocol.step import StepInputs

PROJECT, RUN = UUID(int=1), UUID(int=2)
HEAD, *SITES = (Identity(bytes([number]) * 32) for number in range(1, 5))
SUITES = {"masks": Suite.X25519_MLKEM768_AES256, "he": Suite.X25519_MLKEM768_AES256_BFV}


def terms(mode: str) -> ProjectTerms:
    return ProjectTerms.model_validate(
        {"purpose": "p", "dataset": "lung", "columns": ("age",), "statistics": ("counts",), "mode": mode}
    )


def confirmed(mode: str) -> ConfirmedProject:
    data = terms(mode).encode()
    return ConfirmedProject(Roster.of(PROJECT.bytes, data, HEAD.public, [one.public for one in SITES]), data)


def manifest(seen: ConfirmedProject, suite: Suite) -> Frame:
    hour = int(time.time()) + 3600
    plan = Plan(
        roster=seen.roster,
        sites=seen.roster.sites,
        run=RUN.bytes,
        rounds=1,
        setup_deadline=hour,
        expires=hour,
        loss_rule=LossRule.PAUSE,
        suite=suite,
    )
    [send] = announce(plan, StepInputs(identity=HEAD, rand=bytes(32))).effects
    return send.frame  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["masks", "he"])
@pytest.mark.parametrize("offered", ["masks", "he"])
def test_the_suite_of_a_manifest_is_that_of_the_confirmed_terms(tmp_path: Path, mode: str, offered: str) -> None:
    journal, seen = Journal(tmp_path / "party", TABLES), confirmed(mode)
    frame = manifest(seen, SUITES[offered])
    site = SiteRun.invited(RunContext.of(RUN, PROJECT, seen), frame, seen, Policy(), journal, SITES[0])
    if mode == offered:
        site.receive(frame.encode(), None, 1, Policy())
        assert isinstance(site.state, AwaitCohort)
        return
    with pytest.raises(RefusedError, match="not match the project's terms"):
        site.receive(frame.encode(), None, 1, Policy())
    assert isinstance(site.state, Outside)
    assert not journal.machines()
    assert not list(journal.outgoing())
