"""Whole homomorphic rounds: sums equal the plain ones, and parties that pool their records see only masks."""

import numpy as np
import pytest

from secagg import keys
from secagg.errors import NotEnoughParticipantsError, ParameterError
from secagg.he.bfv import BfvKey
from secagg.he.parameters import SUMS
from secagg.he.slots import SlotLayout, mask, unpack_values
from secagg.identity import Identity, Roster
from secagg.masks import Mask
from secagg.messages import Open, Opened, Opening, SealedShares, Suite, Upload
from secagg.params import MAX_HOMOMORPHIC_SITES, Profile, Schema, Segment, ring_bits_for
from secagg.protocol import derivations as d
from secagg.protocol import participant_round as pr
from secagg.protocol.coordinator_setup import Plan, announce
from secagg.protocol.encrypted_vector import (
    EncryptedVector,
    GroupKeys,
    contribute_encrypted,
    open_ciphertexts,
    open_sum,
)
from secagg.protocol.ring_vector import VectorError
from secagg.protocol.step import Learned, Release, StepInputs, Tick
from secagg.protocol.table import decode_state, encode_state, tell
from secagg.quantize import Coins, quantize
from secagg.simulate import simulate
from tests.support.playbook import ROUND_DEADLINE, Play, at

BFV = Suite.X25519_MLKEM768_AES256_BFV


def play_to(kind, **options) -> Play:
    return at(kind, suite=BFV, **{"n": 5} | options)


@pytest.mark.parametrize(
    ("n", "d", "before", "after"), [(3, 700, (), ()), (5, 9_000, (1,), ()), (12, 30, (0, 7), (3,))]
)
@pytest.mark.parametrize("profile", ["malicious", "semi-honest"])
def test_sums_are_the_plain_sums_to_the_last_bit(n, d, before, after, profile):
    vectors = np.random.default_rng(n).normal(scale=3, size=(n, d))  # noqa: TID251 test data
    options = {"clip": 8.0, "profile": profile, "drop_before_upload": before, "drop_before_unmask": after}
    encrypted, plain = simulate(vectors, mode="he", **options), simulate(vectors, **options)
    assert encrypted.total.tolist() == plain.total.tolist()
    assert (encrypted.survivors, encrypted.clipped) == (plain.survivors, plain.clipped)


@pytest.mark.parametrize("n", [3, 200])
def test_sums_of_many_uploads_are_exact(n):
    """Of the uploads of n sites, as the coordinator adds them; epochs of so many are measured elsewhere."""
    bits = ring_bits_for(2**19 - 1, n)
    schema = Schema(ring_bits=bits, mac_lanes=2, segments=(Segment(count=90, clip=1.0, step=1 / (2**19 - 1)),))
    sealing = GroupKeys.of(bytes(32), 2, bytes(32))
    rows = np.sin(np.arange(90 * n)).reshape(n, 90)
    rows[:, :2], rows[:, 2:4] = 1.0, -1.0  # as far as head-room goes
    total, masks = EncryptedVector.zeros(schema), []
    for i, row in enumerate(rows):
        own = Mask(key=i.to_bytes(32, "big"), negate=False)
        masks.append(own)
        made = contribute_encrypted(
            row, schema, [own], sealing, Coins(bytes(32), bytes(32)), upload_key=bytes(32), associated=b""
        )
        payload = b"".join(made.sealed.chunks)
        total.add(open_ciphertexts(payload, schema, bytes(32), b"", made.sealed.root))
    exact = np.rint(rows * (2**19 - 1)).astype(np.int64).sum(axis=0)
    assert open_sum(total, masks, sealing).tolist() == exact.tolist()
    with pytest.raises(VectorError):
        open_sum(total, masks[1:], sealing)


def test_too_few_sites():
    with pytest.raises(NotEnoughParticipantsError):
        simulate(np.ones((6, 4)), mode="he", clip=1.0, drop_before_upload=(0, 1))


@pytest.mark.parametrize("lost", [(), (4,)])
def test_coordinator_relay_and_a_site_see_no_vector(lost):
    """The colluding site opens every ciphertext that the relay stored, and finds masked slots; what it shares itself it
    takes off. With the answers, which it opens as well, it has what the coordinator has in protocol 1: the sum.
    """
    play = play_to(Open)
    play.present.difference_update(lost)
    play.until(Upload)
    uploads = {parcel.frame.sender: parcel for parcel in play.mail[Upload]}
    play.until(Opening)
    colluder, current = play.parties[1], play.state(1).current
    he_key = BfvKey(GroupKeys.of(current.group_key, 0, play.epoch).he_seed, SUMS)
    waiting, place = colluder.was(pr.AwaitVector), SlotLayout(current.schema, SUMS)
    opened = {}
    for site, parcel in uploads.items():
        bound = d.vector_bound(play.epoch, Upload.KIND, site, 1, current.context)
        message = Upload.decode(parcel.frame.body)
        vector = open_ciphertexts(parcel.payload, current.schema, play.key(Upload, site), bound, message.root)
        opened[site] = he_key.open(vector.ciphertexts[0])
    own = opened[1].copy()
    mask(own, waiting.masks, SUMS.plain_modulus, remove=True)
    assert unpack_values(own, place, 3).tolist() == play.integers(1)  # so the key and the masks are the right ones
    for site in uploads.keys() - {1}:
        known = [
            one for one in play.parties[site].was(pr.AwaitVector).masks if one.key in {m.key for m in waiting.masks}
        ]
        assert len(known) == 1  # of the site's masks the colluder shares one
        left = opened[site].copy()
        mask(left, known, SUMS.plain_modulus, remove=True)
        assert unpack_values(left, place, 3).tolist() != play.integers(site)
        assert np.mean(left < SUMS.plain_modulus // 2) == pytest.approx(0.5, abs=0.05)  # all 4,096 slots are masked
        assert len(set(left.tolist())) == len(left)


def test_the_coordinator_alone_cannot_read_the_shares_or_the_sum():
    """It holds every key of its channels, and none of those opens what the sites sealed for each other."""
    play = play_to(SealedShares)
    coordinator = play.parties[0]
    for parcel in play.mail[SealedShares]:
        sealed = SealedShares.decode(parcel.frame.body)
        round_keys = vars_of(coordinator.state.current.keys)
        bound = d.sealed_shares_bound(play.epoch, parcel.frame.sender, 1, sealed.statement)
        for key in round_keys:
            with pytest.raises(keys.UnsealError):
                keys.unseal(key, sealed.sealed, bound)
    assert not any(isinstance(effect, Learned) for effect in coordinator.effects)


def vars_of(by_site) -> list[bytes]:
    return [getattr(row, name) for row in by_site.values() for name in ("decline", "upload", "answer", "result")]


@pytest.mark.parametrize("profile", Profile)
def test_sites_learn_and_the_coordinator_only_what_is_published(profile):
    play = play_to(Opened, profile=profile, rounds=2)
    for site in play.present:
        (learned,) = [effect for effect in play.parties[site].effects if isinstance(effect, Learned)]
        exact = sum(quantize(play.vectors[s], play.schema).values for s in play.present)
        assert np.asarray(learned.total).tolist() == (exact * 0.0625).tolist()
    assert not [effect for effect in play.parties[0].effects if isinstance(effect, Learned)]
    play.advance()
    (published,) = [effect for effect in play.parties[0].effects if isinstance(effect, Learned)]
    assert np.asarray(published.total).tolist() == np.asarray(learned.total).tolist()


def test_hidden_entries_reach_nobody_but_the_sites_that_opened_them():
    """The coordinator and the sites' own records hold NaN for them; the state that held them is gone."""
    play = play_to(Opening, rounds=2)
    play.hidden = [False, True, False]
    play.until(Opened)
    opened = play.parties[1].was(pr.AwaitRelease)
    assert opened.reals[1] == -15.0
    assert opened.current.group_key == b""
    assert opened.total not in play.state(1).encode()
    play.advance()
    for party in play.parties.values():
        (learned,) = [effect for effect in party.effects if isinstance(effect, Learned)]
        np.testing.assert_array_equal(learned.total, [7.5, np.nan, 0.3125])


def test_a_small_count_is_published_as_none():
    play = play_to(Opening)
    site = play.parties[1]
    site.receive(play.parcel(Opening, to=1))
    changed = site.state.values
    changed[2] = 0
    site.tell(Release(values=changed))
    (learned,) = [effect for effect in site.effects if isinstance(effect, Learned)]
    assert np.asarray(learned.total).tolist() == [7.5, -15.0, 0.0]


def test_a_round_that_ends_before_the_release_publishes_nothing():
    play = play_to(Opening, rounds=2)
    site = play.parties[1]
    site.receive(play.parcel(Opening, to=1))
    site.tell(Tick(ROUND_DEADLINE))
    assert isinstance(site.state, pr.AwaitOpen)
    assert not any(isinstance(effect, Learned) for effect in site.effects)


def test_a_site_that_dies_between_opening_and_release_publishes_the_same_bytes():
    play = play_to(Opening)
    site = play.parties[1]
    site.receive(play.parcel(Opening, to=1))
    inputs, hidden = site.inputs(), Release([True, False, False])
    before = tell(site.state, hidden, inputs)
    after = tell(decode_state(encode_state(site.state)), hidden, inputs)
    learned, sent = after.effects
    assert sent == before.effects[1]
    np.testing.assert_array_equal(learned.total, before.effects[0].total)
    assert after.state == before.state


def test_keys_of_rounds_are_apart_and_erased():
    """Pitfall 26: after the opening a site holds the next round's chain, and neither this round's key nor its seed."""
    play = play_to(Open, rounds=2)
    before = play.state(1)
    play.until(Opened)
    after = play.state(1)
    assert after.group_chain == d.next_group_chain(before.group_chain, 1, play.epoch)
    assert d.group_key(before.group_chain, 1, bytes(32), play.epoch) != d.group_key(
        after.group_chain, 2, bytes(32), play.epoch
    )
    used = play.parties[1].was(pr.AwaitOpening).current.group_key
    assert used not in after.encode()


@pytest.mark.parametrize(("n", "degree"), [(MAX_HOMOMORPHIC_SITES + 1, 0), (20, 8)])
def test_too_many_sites_and_sparse_graphs_are_refused_before_anybody_is_asked(n, degree):
    head = Identity(bytes(32))
    sites = sorted(number.to_bytes(32, "big") for number in range(1, n + 1))
    roster = Roster.of(bytes(16), b"terms", head.public, sites)
    limits = {"run": bytes(16), "rounds": 1, "setup_deadline": 1, "expires": 2}
    plan = Plan(roster=roster, sites=roster.sites, degree=degree, suite=BFV, **limits)
    with pytest.raises(ParameterError, match=f"complete graph and at most {MAX_HOMOMORPHIC_SITES} sites"):
        announce(plan, StepInputs(identity=head, rand=bytes(32)))
