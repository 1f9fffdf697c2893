"""A run of several epochs: the last set of survivors that a site confirmed bounds the epochs that follow."""

from dataclasses import replace

import pytest

from secagg.errors import FaultyCoordinatorError, NotEnoughParticipantsError
from secagg.messages import Cohort, Manifest, Open, Ready, Result
from secagg.params import LossRule
from secagg.protocol.step import Learned
from tests.support.playbook import SETUP_LISTS, Play, at


def after(first: Play, **terms) -> Play:
    """Return the next epoch of a run whose first one had a sum, with sites that remember it."""
    (sum_,) = (effect for effect in first.parties[0].effects if isinstance(effect, Learned))
    survivors = tuple(first.plan.sites[site - 1] for site in sum_.survivors)
    second = Play(first.n, loss_rule=first.plan.loss_rule, epoch=2, first_round=2, **terms)
    for site in sum_.survivors:
        party = second.parties[site]
        party.state = replace(party.state, last_epoch=1, survivors=survivors)
    return second


@pytest.mark.parametrize("rule", [LossRule.PAUSE, LossRule.ABORT])
def test_a_later_epoch_has_a_sum_over_the_same_sites(rule):
    second = after(at(Result, n=4, loss_rule=rule), slack=None).until(Result)
    (sum_,) = (effect for effect in second.parties[0].effects if isinstance(effect, Learned))
    assert (sum_.round, sum_.survivors) == (2, (1, 2, 3, 4))


@pytest.mark.parametrize("rule", [LossRule.PAUSE, LossRule.ABORT])
def test_a_site_that_is_lost_in_a_later_setup_ends_the_run(rule):
    second = after(at(Result, n=4, loss_rule=rule), slack=None, absent=(4,))
    second.advance()
    with pytest.raises(NotEnoughParticipantsError, match="4 are needed"):
        second.advance()


@pytest.mark.parametrize("kind", SETUP_LISTS)
def test_no_list_of_a_later_setup_leaves_a_site_out(kind):
    """Pitfalls 10 and 30: the first epoch's sum less the second one's would be that site's vector."""
    second = after(at(Result, n=4, loss_rule=LossRule.ABORT), slack=None).until(kind)
    forged = second.forge_list(kind, second.listed(kind)[:3])
    second.refuses(1, forged, FaultyCoordinatorError, "V-0401")


def test_where_the_rule_is_continue_those_go_on_that_are_left():
    first = at(Open, n=4)
    first.present.discard(4)
    second = after(first.until(Result))
    for site in (1, 2, 3):
        second.refuses(site, second.parcel(Manifest), FaultyCoordinatorError, "V-0317")


def test_an_epoch_without_a_sum_binds_nobody():
    """A setup that failed, or a round that nobody confirmed, has told nothing."""
    first = at(Ready, n=4, loss_rule=LossRule.ABORT)
    second = Play(4, loss_rule=LossRule.ABORT, epoch=2, absent=(4,))
    for site in range(1, 5):
        second.parties[site].state = replace(second.parties[site].state, last_epoch=first.plan.epoch)
    assert len(second.until(Cohort).listed(Cohort)) == 3
