"""Attacks that no single frame shows: what they give, and where the threat model says that something remains.

Numbers are those of the pitfalls in specs/00-threat-model.md, as far as it lists them.
"""

import numpy as np
import pytest

from secagg.codec import u16, u32
from secagg.envelope import COORDINATOR
from secagg.errors import FaultyCoordinatorError
from secagg.keys import derive, unseal
from secagg.masks import add_keystream
from secagg.messages import Open, Result, SharePackage, Shares, Survivors, Unmask, Upload
from secagg.params import LossRule, Profile
from secagg.protocol import derivations as d
from secagg.protocol import participant_round as pr
from secagg.protocol import participant_setup as ps
from secagg.protocol.ring_vector import RingVector, open_vector, seal_vector
from secagg.protocol.step import Close, Contribute, Learned
from secagg.quantize import quantize
from tests.support.party import Party
from tests.support.playbook import Play, at

profiles = pytest.mark.parametrize("profile", Profile, ids=lambda one: one.name)


def state_of(party: Party, kind: type) -> object:
    return next(state for state in party.past if type(state) is kind)


def values_of(play: Play, site: int) -> list[int]:
    return quantize(play.vectors[site], play.schema).values.tolist()


def upload_of(play: Play, site: int) -> RingVector:
    """Return a site's masked vector, which the coordinator can open."""
    parcel, turn = play.parcel(Upload, site), play.state(0).turn
    bound = d.vector_bound(play.epoch, Upload.KIND, site, turn.round, turn.context)
    return open_vector(parcel.payload, play.schema, turn.keys[site].upload, bound, play.message(Upload, site).root)


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
    denied = upload_of(play, 4)
    play.until(Unmask)
    shares = [play.message(Unmask, site).shares[4] for site in (1, 2, 3)]
    dealer, turn = state_of(play.parties[4], ps.AwaitEncapsulationList), play.state(0).turn
    assert shares == [play_row(play, holder)[4][32:] for holder in (1, 2, 3)]  # of the vault key, none of the seed

    vault = SharePackage.decode(play.parcel(Shares, 4).payload).vaults[0]
    secret = d.vault_secret(dealer.vault_seed, 4, 1, play.epoch)  # what the three shares give, if t is 3
    seeds = unseal(d.vault_key(secret, 4, 1, play.epoch), vault, d.vault_bound(play.epoch, 4, 1))
    place = {"round_": 1, "context": turn.context, "eh": play.epoch}
    masks = [d.pair_mask(seeds[32 * (v - 1) : 32 * v], 4, v, **place) for v in (1, 2, 3)]
    denied.mask(masks, remove=True)
    assert denied.values().tolist() != values_of(play, 4)
    denied.mask([d.self_mask(d.self_seed(dealer.self_chain, 4, 1, play.epoch), 4, **place)], remove=True)
    assert denied.values().tolist() == values_of(play, 4)


def play_row(play: Play, holder: int) -> dict[int, bytes]:
    return state_of(play.parties[holder], pr.AwaitVector).turn.row


def learned(play: Play) -> list[Learned]:
    return [effect for effect in play.parties[0].effects if isinstance(effect, Learned)]


def test_a_lost_site_can_be_approximated_by_difference():
    """Pitfalls 10 and 30, threat model 3.1: the price of the loss rule that says continue."""
    play = at(Open, n=4, rounds=2, loss_rule=LossRule.CONTINUE)
    play.until(Open).present.discard(4)
    play.until(Result)
    first, second = learned(play)
    assert (first.survivors, second.survivors) == ((1, 2, 3, 4), (1, 2, 3))
    assert np.array_equal(first.total - second.total, np.array(values_of(play, 4)) * 0.0625)


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
    first = upload_of(play, 1)
    play.until(Open).until(Upload)
    second = upload_of(play, 1)
    assert not np.array_equal(first.elements, second.elements)
    assert not np.array_equal(first.lanes, second.lanes)
    keys = [mask.key for one in play.parties[1].past if isinstance(one, pr.AwaitVector) for mask in one.masks]
    assert len(set(keys)) == len(keys) == 2 * 3


def test_two_queries_have_no_mask_in_common():
    """Pitfall 9: of two Opens with one byte between them, no mask key is the same; neither cancels the other."""
    play = at(Open)
    one, two = play.parties[1].copy(), play.parties[1].copy()
    one.receive(play.parcel(Open))
    two.receive(play.forge(Open, query=b"how many of eacH"))
    assert not {mask.key for mask in one.state.masks} & {mask.key for mask in two.state.masks}
    assert one.state.turn.context != two.state.turn.context


def forged_result(play: Play, mac_key: bytes):
    """Return a false sum that adds 1 to the first entry and corrects the lanes with a lane session key."""
    state, message = play.state(1), play.message(Result)
    bound = d.vector_bound(play.epoch, Result.KIND, COORDINATOR, state.round, state.context)
    vector = open_vector(play.parcel(Result).payload, play.schema, message.key, bound, message.root)
    vector.elements[0] += np.uint32(1)
    for lane in range(play.schema.mac_lanes):
        rho = np.zeros(2, np.uint64)
        key = derive(mac_key, "mac", u32(state.round), state.context, u16(lane), epoch=play.epoch)
        add_keystream(rho, key)
        vector.lanes[lane] += rho[0]
    sealed = seal_vector(vector, message.key, bound)
    return play.forge(Result, root=sealed.root, payload=b"".join(sealed.chunks))


def test_a_false_sum_passes_only_with_a_site_on_its_side():
    """Threat model 2.5: the lanes' key is every site's; a coordinator that has it can forge, without it it cannot."""
    play = at(Result)
    with np.errstate(over="ignore"):
        play.refuses(1, forged_result(play, bytes(32)), FaultyCoordinatorError, "V-0514")
        party = play.parties[1]
        party.receive(forged_result(play, play.state(2).idle.mac_key))
    (told,) = (effect for effect in party.effects if isinstance(effect, Learned))
    assert told.total[0] == learned(play)[0].total[0] + 0.0625


def test_a_site_can_shift_the_sum_within_its_clip():
    """Threat model 3.3: masks hide the vector from everyone who could object."""
    play = at(Open)
    play.vectors[1] = [1e9, 0.0, 0.0]
    play.until(Result)
    honest = sum(values_of(play, site)[0] for site in (2, 3)) * 0.0625
    assert learned(play)[0].total[0] == honest + 8.0


def test_the_least_epoch_leaves_its_sites_with_each_others_sum():
    """Threat model 3.6: with three sites, one of them knows the sum of the two others."""
    play = at(Result)
    total = learned(play)[0].total
    others = total - np.array(values_of(play, 1)) * 0.0625
    assert np.array_equal(others, sum(np.array(values_of(play, site)) for site in (2, 3)) * 0.0625)


def test_a_state_that_was_set_back_would_mask_twice_with_one_key():
    """Threat model 3.7, pitfall 14: the machine cannot know; whoever drives it never goes back to an older state."""
    play = at(Open)
    older = play.parties[1].copy()
    older.receive(play.parcel(Open))
    first, second = older.copy(), older.copy()
    (one,), (two,) = first.tell(Contribute([1.0, 0.0, 0.0])), second.tell(Contribute([2.0, 0.0, 0.0]))
    assert one.frame.slot == two.frame.slot  # which is what the relay and the coordinator see
    assert one.frame != two.frame
    play.mail[Upload] = [one]
    play.stage = Upload
    masked = []
    for parcel in (one, two):
        play.mail[Upload] = [parcel]
        masked.append(upload_of(play, 1).values())
    assert (masked[1] - masked[0]).tolist() == [16, 0, 0]
