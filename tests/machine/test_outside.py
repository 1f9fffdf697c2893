"""Shows that attacks succeed which the protocol leaves open or to a site's policy (specs/00-threat-model.md §3, §4)."""

import numpy as np

from secagg.codec import u16, u32
from secagg.envelope import COORDINATOR
from secagg.errors import FaultyCoordinatorError
from secagg.keys import derive
from secagg.masks import add_keystream
from secagg.messages import Open, Result, Upload
from secagg.params import LossRule
from secagg.protocol import derivations as d
from secagg.protocol.ring_vector import open_vector, seal_vector
from secagg.protocol.step import Contribute, Learned
from tests.support.playbook import Parcel, Play, at


def learned(play: Play) -> list[Learned]:
    return [effect for effect in play.parties[0].effects if isinstance(effect, Learned)]


def test_a_lost_site_can_be_approximated_by_difference():
    """Pitfalls 10 and 30, recipe 18: the price of the loss rule that says continue (threat model 3.1)."""
    play = at(Open, n=4, rounds=2, loss_rule=LossRule.CONTINUE)
    play.until(Open).present.discard(4)
    play.until(Result)
    first, second = learned(play)
    assert (first.survivors, second.survivors) == ((1, 2, 3, 4), (1, 2, 3))
    assert np.array_equal(first.total - second.total, np.array(play.integers(4)) * 0.0625)


def test_two_runs_differ_by_the_site_that_one_of_them_lacks():
    """Pitfalls 10 and 30, recipe 18: survivors shrink within a run alone; a comparison over runs is the ledger's."""
    with_all, without = at(Result, n=4), at(Result, n=4, absent=(4,))
    (first,), (second,) = learned(with_all), learned(without)
    assert (first.survivors, second.survivors) == ((1, 2, 3, 4), (1, 2, 3))
    assert np.array_equal(first.total - second.total, np.array(with_all.integers(4)) * 0.0625)


def test_an_entry_that_one_site_fills_is_that_site_s():
    """Pitfall 11: a sum hides who gave what, and not what only one could give."""
    play = at(Open)
    play.vectors = {1: [1.5, 0.0, 0.0], 2: [0.0, 2.5, 0.0], 3: [0.0, 0.0, 3.5]}
    play.until(Result)
    assert learned(play)[0].total.tolist() == [1.5, 2.5, 3.5]


def test_a_patient_is_the_difference_that_the_patient_makes():
    """Pitfall 12, recipe 18: a query off by one row tells that row; a secure sum is exact, and exact is not private."""
    (before,), patient = learned(at(Result)), np.array([0.25, 1.0, -0.5])
    play = at(Open)
    play.vectors[2] = play.vectors[2] + patient
    play.until(Result)
    assert np.array_equal(learned(play)[0].total - before.total, patient)


def test_a_site_can_shift_the_sum_within_its_clip():
    """Recipe 24: masks hide the vector from everyone who could object (threat model 3.3)."""
    play = at(Open)
    play.vectors[1] = [1e9, 0.0, 0.0]
    play.until(Result)
    honest = sum(play.integers(site)[0] for site in (2, 3)) * 0.0625
    assert learned(play)[0].total[0] == honest + 8.0


def test_a_false_sum_passes_only_with_a_site_on_its_side():
    """Recipe 20: the lanes' key is every site's; a coordinator that has it can forge (threat model 2.5)."""
    play = at(Result)
    with np.errstate(over="ignore"):
        play.refuses(1, forged_result(play, bytes(32)), FaultyCoordinatorError, "V-0514")
        party = play.parties[1]
        party.receive(forged_result(play, play.state(2).idle.mac_key))
    (told,) = (effect for effect in party.effects if isinstance(effect, Learned))
    assert told.total[0] == learned(play)[0].total[0] + 0.0625


def forged_result(play: Play, mac_key: bytes) -> Parcel:
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


def test_the_least_epoch_leaves_its_sites_with_each_others_sum():
    """Threat model 3.6: with three sites, one of them knows the sum of the two others."""
    play = at(Result)
    total = learned(play)[0].total
    others = total - np.array(play.integers(1)) * 0.0625
    assert np.array_equal(others, sum(np.array(play.integers(site)) for site in (2, 3)) * 0.0625)


def test_a_state_that_was_set_back_would_mask_twice_with_one_key():
    """Pitfall 14: the machine cannot know; whoever drives it never goes back to an older state (threat model 3.7)."""
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
        masked.append(play.masked(1).values())
    assert (masked[1] - masked[0]).tolist() == [16, 0, 0]
