"""The coordinator's driver between two epochs of a run: the sites it asks again, and the slack."""

import asyncio
import math
from pathlib import Path
from uuid import UUID

import pytest

from coordinator.journal.schema import TABLES
from coordinator.runs.channel import RunChannel
from coordinator.runs.driver import Driver, Participants, Timeouts
from coordinator.session.mailbox import Subscription
from relay.client.transport import SiteReport
from relay.party.journal import Journal
from secagg.envelope import Frame
from secagg.errors import NotEnoughParticipantsError
from secagg.messages import Manifest, Open, PrekeyList, Result
from secagg.params import LossRule
from secagg.protocol.table import encode_state
from tests.support.playbook import RUN, Play, at


class Deaf:
    """A relay that takes everything and has no mail."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def post_message(self, _run, _recipient, frame, _blob, *, lease) -> None:
        self.frames.append(Frame.decode(frame))

    async def reports(self, _run) -> list[SiteReport]:
        return []


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "party", TABLES)
    made.lock()
    yield made
    made.close()


def next_manifest(journal: Journal, play: Play | None, rule: LossRule) -> Manifest:
    """Return what the driver announces when it goes on from the coordinator's state in a play."""
    if play is not None:
        with journal.transaction() as batch:
            batch.put(str(UUID(bytes=RUN)), encode_state(play.state(0)))
    there = play or at(Manifest, n=4)
    names = {key: f"site {i}" for i, key in enumerate(there.plan.sites, 1)}
    relay, head = Deaf(), there.parties[0].identity
    pace = Timeouts(step_s=0, grace_s=0, officer_s=0, epoch_s=100, run_ends=math.inf)
    run = UUID(bytes=RUN)
    line = RunChannel(run, journal, relay, Subscription(0))
    driver = Driver(run, Participants(there.roster, names), head, journal, line, pace, lambda _: None)

    async def go_on() -> None:
        await driver.resume()
        await driver.prepare(driver.left or there.plan.sites, rounds=1, loss_rule=rule)

    with pytest.raises(NotEnoughParticipantsError, match="0 sites answered"):
        asyncio.run(go_on())
    return Manifest.decode(relay.frames[0].body)


@pytest.mark.parametrize("rule", LossRule)
def test_the_first_epoch_may_lose_sites_in_its_setup(journal: Journal, rule: LossRule) -> None:
    assert next_manifest(journal, None, rule).slack == 0


@pytest.mark.parametrize(("rule", "slack"), [(LossRule.CONTINUE, 0), (LossRule.PAUSE, 1), (LossRule.ABORT, 1)])
def test_a_later_epoch_loses_nobody_unless_the_rule_is_continue(journal: Journal, rule: LossRule, slack: int) -> None:
    play = at(Result, n=4, loss_rule=rule)
    manifest = next_manifest(journal, play, rule)
    assert (manifest.sites, manifest.slack) == (play.plan.sites, slack)


def test_a_site_that_was_lost_is_not_asked_again(journal: Journal) -> None:
    play = at(Open, n=4)
    play.present.discard(4)
    manifest = next_manifest(journal, play.until(Result), LossRule.CONTINUE)
    assert manifest.sites == play.plan.sites[:3]


@pytest.mark.parametrize("slack", [0, 1])
def test_a_setup_that_was_cut_off_is_begun_again_as_it_was(journal: Journal, slack: int) -> None:
    play = at(PrekeyList, n=4, loss_rule=LossRule.PAUSE, slack=slack)
    manifest = next_manifest(journal, play, LossRule.PAUSE)
    assert (manifest.sites, manifest.slack) == (play.plan.sites, slack)
