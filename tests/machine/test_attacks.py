"""Attacks that no single frame reveals, carried out in full, and their gain.

Pitfalls and recipes have the numbers of specs/00-threat-model.md, here and in all tests.
"""

from dataclasses import replace

import numpy as np
import pytest

from secagg.keys import unseal
from secagg.messages import Open, SharePackage, Shares, Survivors, Unmask, Upload
from secagg.params import LossRule, Profile
from secagg.protocol import derivations as d
from secagg.protocol import participant_round as pr
from secagg.protocol import participant_setup as ps
from secagg.protocol.step import Close, Contribute
from tests.support.playbook import Play, at

profiles = pytest.mark.parametrize("profile", Profile, ids=lambda one: one.name)


@profiles
def test_a_denied_upload_stays_masked(profile):
    """Pitfalls 1 and 25: the coordinator has site 4's upload, says that it never came, and gets site 4's vault opened.

    With all pair masks off, what is left is the vector under its self-mask, whose seed nobody was asked for.
    """
    play = at(Upload, n=4, profile=profile)
    coordinator = play.parties[0]
    for site in (1, 2, 3):
        coordinator.receive(play.parcel(Upload, site))
    play.mail[Survivors] = coordinator.tell(Close())
    play.stage = Survivors
    play.present.discard(4)
    denied = play.masked(4)
    play.until(Unmask)
    shares = [play.message(Unmask, site).shares[4] for site in (1, 2, 3)]
    dealer, current = play.parties[4].was(ps.AwaitEncapsulationList), play.state(0).current
    assert shares == [play_row(play, holder)[4][32:] for holder in (1, 2, 3)]  # of the vault key, none of the seed

    vault = SharePackage.decode(play.parcel(Shares, 4).payload).vaults[0]
    secret = d.vault_secret(dealer.vault_seed, 4, 1, play.epoch)  # what the three shares give, if t is 3
    seeds = unseal(d.vault_key(secret, 4, 1, play.epoch), vault, d.vault_bound(play.epoch, 4, 1))
    place = {"round_": 1, "context": current.context, "eh": play.epoch}
    masks = [d.pair_mask(seeds[32 * (v - 1) : 32 * v], 4, v, **place) for v in (1, 2, 3)]
    denied.mask(masks, remove=True)
    assert denied.values().tolist() != play.integers(4)
    denied.mask([d.self_mask(d.self_seed(dealer.self_chain, 4, 1, play.epoch), 4, **place)], remove=True)
    assert denied.values().tolist() == play.integers(4)


def play_row(play: Play, holder: int) -> dict[int, bytes]:
    return play.parties[holder].was(pr.AwaitVector).current.row


@pytest.mark.parametrize("loss_rule", [LossRule.PAUSE, LossRule.CONTINUE])
def test_a_loss_is_shown_before_anything_is_signed(loss_rule):
    """Pitfall 30: the state that waits for the site's policy holds the set that was proposed and the one before it."""
    play = at(Open, n=4, rounds=2, loss_rule=loss_rule)
    play.until(Open).present.discard(4)
    play.until(Survivors)
    party = play.parties[1]
    sent = len(party.effects)
    party.receive(play.parcel(Survivors))
    assert isinstance(party.state, pr.AwaitConfirmation)
    assert (party.state.survivors, party.state.idle.survivors) == ((1, 2, 3), (1, 2, 3, 4))
    assert len(party.effects) == sent


@profiles
def test_sizes_say_nothing_about_the_values(profile):
    """Pitfall 20: an upload is as long as its schema says."""
    play = at(Open, n=4, profile=profile)
    play.vectors |= {1: [0.0, 0.0, 0.0], 2: [8.0, -8.0, 8.0], 3: [1e300, 1e-300, -1e300]}
    play.until(Upload)
    assert len({len(play.parcel(Upload, site).payload) for site in range(1, 5)}) == 1
    assert len({len(play.frame(Upload, site).encode()) for site in range(1, 5)}) == 1


def test_the_same_vector_is_masked_anew_in_every_round():
    """Pitfalls 5, 8 and 14: no two uploads share a mask, so their difference says nothing."""
    play = at(Upload, n=3, rounds=2)
    first = play.masked(1)
    play.until(Open).until(Upload)
    second = play.masked(1)
    assert not np.array_equal(first.elements, second.elements)
    assert not np.array_equal(first.lanes, second.lanes)
    keys = [mask.key for one in play.parties[1].past if isinstance(one, pr.AwaitVector) for mask in one.masks]
    assert len(set(keys)) == len(keys) == 2 * 3


def test_what_a_site_signs_depends_on_its_vector_through_the_masks_alone():
    """Pitfall 16: who tries the few values that a vector can have finds none of them in a hash or a check lane."""
    play = at(Open)
    play.vectors[1] = [0.0, 0.0, 0.0]
    play.until(Upload)
    signed = play.message(Upload, 1).root
    assert all(play.masked(1).lanes)  # without their masks the lanes of zeros are zeros
    for guess in (0.0, 0.0625, 1.0):
        party = play.parties[1].copy()
        party.state = replace(play.parties[1].was(pr.AwaitVector), masks=())
        (bare,) = party.tell(Contribute([guess, 0.0, 0.0]))
        assert Upload.decode(bare.frame.body).root != signed


def test_two_queries_have_no_mask_in_common():
    """Pitfall 9, recipe 19: of two Opens with one byte between them, no mask key is the same."""
    play = at(Open)
    one, two = play.parties[1].copy(), play.parties[1].copy()
    one.receive(play.parcel(Open))
    two.receive(play.forge(Open, query=b"how many of eacH"))
    assert not {mask.key for mask in one.state.masks} & {mask.key for mask in two.state.masks}
    assert one.state.current.context != two.state.current.context
