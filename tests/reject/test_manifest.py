"""V-03xx: epoch terms that a site refuses: the peer cannot choose the site's security."""

from dataclasses import replace

import pytest

from secagg.errors import FaultyCoordinatorError
from secagg.identity import Roster
from secagg.keys import KeyAgreement
from secagg.messages import Join, Manifest
from secagg.params import Floors, LossRule, Profile
from tests.support.playbook import EXPIRES, PROJECT, RUN, Play, at, offered

OTHER = b"\xaa" * 32


def refused(play: Play, check: str, **terms) -> None:
    """Assert that site 1 refuses a manifest with these terms, correctly named and signed."""
    play.refuses(1, offered(play, **terms), FaultyCoordinatorError, check)


def with_floors(play: Play, **floors) -> Play:
    """Return the play with a site 1 that asks for more than it is offered."""
    party = play.parties[1]
    party.state = replace(party.state, floors=Floors(**floors))
    return play


def test_the_manifest_as_it_is_passes():
    play = at(Manifest, n=5)
    assert [parcel.frame.kind for parcel in play.parties[1].receive(offered(play))] == [Join.KIND]


@pytest.mark.parametrize(
    "terms",
    [
        {"threshold": 5, "colluders": 3, "survivors": 5},
        {"survivors": 5},
        {"slack": 1},
        {"rounds": 3276},  # times five sites
        {"first_round": 2**32 - 2},
        {"max_lanes": 1},
        {"max_lanes": 2**30, "max_ring_bits": 64},
        {"setup_deadline": EXPIRES},
        {"epoch": 2**32 - 1},
    ],
)
def test_terms_at_their_limits_pass(terms):
    play = at(Manifest, n=5)
    play.parties[1].receive(offered(play, **terms))


def test_floors_that_are_just_met_pass():
    play = at(Manifest, n=5)
    with_floors(play, sites=5, survivors=4, colluders_one_in=3).parties[1].receive(offered(play))


def test_V_0301_name_is_not_the_hash():
    """Recipe 15: terms are named by their hash, so two terms are two epochs."""
    play = at(Manifest)
    play.refuses(1, play.forge(Manifest, epoch=2), FaultyCoordinatorError, "V-0301")
    play.refuses(1, play.forge(Manifest, at={"epoch": OTHER}), FaultyCoordinatorError, "V-0301")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_V_0302_too_few_sites(count):
    """Recipe 16."""
    play = at(Manifest)
    refused(play, "V-0302", sites=play.plan.sites[:count])


def test_V_0302_fewer_sites_than_the_floor():
    """Recipes 16 and 18."""
    refused(with_floors(at(Manifest), sites=4), "V-0302")


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 1, 1, 2), (2, 1, 0)], ids=["swapped", "twice", "descending"])
def test_V_0302_keys_do_not_ascend(order):
    play = at(Manifest)
    refused(play, "V-0302", sites=tuple(play.plan.sites[i] for i in order))


@pytest.mark.parametrize(
    "terms",
    [{"project": b"another project!"}, {"run": b"another run, so."}, {"roster": OTHER}, {"coordinator": OTHER}],
    ids=["project", "run", "roster", "coordinator"],
)
def test_V_0303_not_what_was_confirmed(terms):
    """Recipes 14 and 15."""
    refused(at(Manifest), "V-0303", **terms)


def test_V_0303_site_that_nobody_confirmed():
    play = at(Manifest)
    refused(play, "V-0303", sites=tuple(sorted([*play.plan.sites, play.stranger.public])))


def test_V_0303_roster_with_other_sites():
    """Recipes 14 and 18: a site that was added to the project after the words were compared is a stranger."""
    play = at(Manifest)
    keys = sorted([*play.plan.sites, play.stranger.public])
    roster = Roster.of(PROJECT, b"the terms", play.roster.coordinator, keys)
    refused(play, "V-0303", roster=roster.digest(), sites=tuple(keys))


def test_V_0304_site_itself_is_missing():
    play = at(Manifest, n=4)
    refused(play, "V-0304", sites=play.plan.sites[1:])


@pytest.mark.parametrize(
    "terms",
    [{"threshold": 0}, {"threshold": 5}, {"threshold": 2}, {"threshold": 3, "colluders": 2}, {"colluders": 65_535}],
)
def test_V_0305_threshold(terms):
    """Pitfall 2, recipe 16: with 2 t <= n + n_C two sets of survivors could both find t signatures."""
    refused(at(Manifest, n=4), "V-0305", **terms)


@pytest.mark.parametrize("colluders", [0, 1])
def test_V_0305_bound_is_tight(colluders):
    play = at(Manifest, n=4)
    accepted = {"threshold": 4, "colluders": 3, "survivors": 4}
    refused(play, "V-0305", threshold=2, colluders=colluders)
    refused(play, "V-0306", **accepted)  # 2 t = n + n_C + 1 holds; a sum needs n_C + 2 sites


@pytest.mark.parametrize(
    "terms", [{"survivors": 2}, {"survivors": 5}, {"threshold": 4}, {"threshold": 4, "colluders": 2, "survivors": 3}]
)
def test_V_0306_least_survivors(terms):
    """Recipe 16."""
    refused(at(Manifest, n=4), "V-0306", **terms)


def test_V_0306_least_survivors_below_the_floor():
    """Pitfall 10, recipe 18: a site says of how many a sum must be at least."""
    refused(with_floors(at(Manifest, n=4), survivors=4), "V-0306")


def test_V_0307_weaker_profile_than_the_floor():
    """Recipe 16."""
    refused(at(Manifest, n=4), "V-0307", profile=Profile.SEMI_HONEST)


def test_V_0307_fewer_colluders_than_the_floor():
    """Recipe 16."""
    refused(at(Manifest, n=4), "V-0307", colluders=0)
    refused(with_floors(at(Manifest, n=4), colluders_one_in=2), "V-0307", threshold=4, colluders=0, survivors=4)


@pytest.mark.parametrize("epoch", [0, 3, 4])
def test_V_0308_epoch_that_is_not_newer(epoch):
    """Pitfall 14: who could repeat an epoch could repeat its masks."""
    play = at(Manifest)
    party = play.parties[1]
    party.state = replace(party.state, last_epoch=4)
    refused(play, "V-0308", epoch=epoch)


@pytest.mark.parametrize(
    "terms",
    [{"rounds": 0}, {"rounds": 4097}, {"first_round": 0}, {"first_round": 2**32 - 1}, {"rounds": 2**32 - 1}],
)
def test_V_0309_rounds(terms):
    refused(at(Manifest), "V-0309", **terms)


def test_V_0309_sites_times_rounds():
    refused(at(Manifest, n=5), "V-0309", rounds=2**14 // 5 + 1)


@pytest.mark.parametrize(
    "terms",
    [{"max_lanes": 0}, {"max_lanes": 2**30 + 1}, {"max_ring_bits": 65}, {"privacy": b"noise"}],
)
def test_V_0310_what_this_version_does_not_know(terms):
    refused(at(Manifest), "V-0310", **terms)


@pytest.mark.parametrize("slack", [2, 65_535])
def test_V_0311_slack(slack):
    refused(at(Manifest, n=4), "V-0311", slack=slack)


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        (1).to_bytes(32, "little"),
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        (2**255 - 20).to_bytes(32, "little"),
        (2**255 - 19).to_bytes(32, "little"),
        (2**255 - 19 + 9).to_bytes(32, "little"),
        b"\xff" * 32,
        KeyAgreement(b"\x11" * 32).curve_public[:31] + b"\xc1",
    ],
    ids=["zero", "one", "order 8", "p - 1", "p", "p + 9", "ones", "top bit"],
)
def test_V_0312_coordinators_curve_key(key):
    """Pitfall 18, recipe 22: low-order points, and encodings that RFC 7748 would reduce."""
    refused(at(Manifest), "V-0312", coordinator_curve=key)


def test_V_0313_setup_that_ends_after_the_epoch():
    refused(at(Manifest), "V-0313", setup_deadline=EXPIRES + 1)


def after_a_sum(play: Play, count: int) -> Play:
    """Return the play with a site 1 that confirmed a sum over the first sites in an earlier epoch of the run."""
    party = play.parties[1]
    party.state = replace(party.state, last_epoch=1, survivors=play.plan.sites[:count])
    return play


@pytest.mark.parametrize("rule", LossRule)
def test_V_0317_site_that_comes_back_in_a_later_epoch(rule):
    """Pitfalls 10 and 30, recipe 18: a lost site is the difference to the earlier sums, whatever the rule."""
    play = after_a_sum(at(Manifest, n=5), 4)
    refused(play, "V-0317", epoch=2, loss_rule=rule)
    refused(play, "V-0317", epoch=2, loss_rule=rule, slack=1)


@pytest.mark.parametrize("rule", [LossRule.PAUSE, LossRule.ABORT])
def test_V_0317_site_that_is_lost_between_epochs(rule):
    """Pitfalls 10 and 30, recipe 18: a new epoch is no way round the rule that pauses or ends a run with a loss."""
    play = after_a_sum(at(Manifest, n=5), 5)
    refused(play, "V-0317", epoch=2, loss_rule=rule, sites=play.plan.sites[:4], threshold=3, slack=1)
    refused(play, "V-0317", epoch=2, loss_rule=rule)  # without slack site 5 could be lost in the setup
    play.parties[1].receive(offered(play, epoch=2, loss_rule=rule, slack=1))


def test_an_epoch_with_those_that_are_left_passes_where_the_rule_is_continue():
    play = after_a_sum(at(Manifest, n=5), 5)
    play.parties[1].receive(offered(play, epoch=2, sites=play.plan.sites[:4], threshold=3))


def test_the_run_is_the_one_of_the_plan():
    assert at(Manifest).message(Manifest).run == RUN
