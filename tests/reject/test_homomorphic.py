"""Terms, schemas, shares and sums that a party refuses in a homomorphic epoch."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from secagg import keys
from secagg.envelope import Frame
from secagg.errors import (
    FaultyCoordinatorError,
    FaultyParticipantError,
    HeadroomError,
    NotEnoughParticipantsError,
    ParameterError,
)
from secagg.he.parameters import SUMS
from secagg.messages import Manifest, Open, Opened, Opening, SealedShares, Suite, Upload
from secagg.params import MAX_HOMOMORPHIC_SITES, Profile, Segment
from secagg.protocol import derivations as d
from secagg.protocol.encrypted_vector import EncryptedVector, open_ciphertexts, seal_ciphertexts
from secagg.protocol.participant_setup import AwaitPrekeyList
from secagg.protocol.ring_vector import RingVector, open_vector, seal_vector
from secagg.protocol.step import Ask, Learned, Publish, Release
from tests.support.playbook import QUERY, ROUND_DEADLINE, SCHEMA, Parcel, Play, at, offered

BFV = Suite.X25519_MLKEM768_AES256_BFV
OTHER = b"\xaa" * 32


def he(kind, **options) -> Play:
    return at(kind, suite=BFV, **{"n": 5} | options)


def opening(play: Play, total: EncryptedVector | None = None, **changes) -> Parcel:
    """Return the Opening for site 1 with another encrypted sum, or other fields."""
    current = play.parties[1].was(type(play.state(1))).current
    bound = d.vector_bound(play.epoch, Opening.KIND, 0, current.round, current.context)
    if total is None:
        return play.forge(Opening, **changes)
    sealed = seal_ciphertexts(total, OTHER, bound)
    payload = b"".join(sealed.chunks)
    return play.forge(Opening, payload=payload, **{"root": sealed.root, "key": OTHER} | changes)


def encrypted_sum(play: Play) -> EncryptedVector:
    current, message = play.state(1).current, play.message(Opening)
    bound = d.vector_bound(play.epoch, Opening.KIND, 0, current.round, current.context)
    return open_ciphertexts(play.parcel(Opening).payload, current.schema, message.key, bound, message.root)


def test_V_0316_a_sparse_graph():
    play = at(Manifest, n=9, degree=6, threshold=5, colluders=2, survivors=6, schema=replace(SCHEMA, mac_lanes=0))
    play.refuses(1, offered(play, suite=BFV), FaultyCoordinatorError, "V-0316")


def test_V_0316_too_many_sites():
    play = at(Manifest, n=MAX_HOMOMORPHIC_SITES + 1)
    play.refuses(1, offered(play, suite=BFV), FaultyCoordinatorError, "V-0316")


@pytest.mark.parametrize(
    "schema", [replace(SCHEMA, ring_bits=59, mac_lanes=11), replace(SCHEMA, mac_lanes=0)], ids=["too wide", "no lanes"]
)
def test_V_0516_schema(schema):
    """Pitfall 15: a sum that slots cannot hold, or that nobody could check, is refused before it is encrypted."""
    play = he(Open, profile=Profile.SEMI_HONEST)
    play.refuses(1, play.forge(Open, schema=schema), FaultyCoordinatorError, "V-0516")


def test_the_coordinator_asks_for_no_such_schema():
    play = he(Open, rounds=2, profile=Profile.SEMI_HONEST)
    play.parties[0].state = play.state(0).idle
    for schema in (replace(SCHEMA, ring_bits=59, mac_lanes=11), replace(SCHEMA, mac_lanes=0)):
        play.denies(0, Ask(QUERY, schema, ROUND_DEADLINE), ParameterError)


def test_noise_is_refused_before_anything_is_encrypted():
    SUMS.check(SUMS.most_additions)
    with pytest.raises(HeadroomError):
        SUMS.check(SUMS.most_additions + 1)


def test_V_0704_an_upload_that_holds_no_ciphertexts():
    """Pitfall 15: whatever is wrong with a ciphertext is found in its bytes, before any library reads them."""
    play = he(Upload)
    parcel = play.parcel(Upload, 1)
    current, key = play.state(0).current, play.key(Upload, 1)
    bound = d.vector_bound(play.epoch, Upload.KIND, 1, current.round, current.context)
    vector = open_ciphertexts(parcel.payload, current.schema, key, bound, play.message(Upload, 1).root)
    vector.ciphertexts[0].residues[1, 0, 7] = SUMS.primes[0]  # not reduced
    sealed = seal_ciphertexts(vector, key, bound)
    for payload, root in (
        (b"".join(sealed.chunks), sealed.root),
        (parcel.payload[:-1], play.message(Upload, 1).root),
        (parcel.payload + bytes(16), play.message(Upload, 1).root),
        (bytes(len(parcel.payload)), play.message(Upload, 1).root),
        (parcel.payload, OTHER),
    ):
        forged = play.forge(Upload, 1, payload=payload, root=root)
        play.refuses(0, forged, FaultyParticipantError, "V-0704", blames=1)


def test_V_0513_another_sum_or_set():
    play = he(Opening)
    play.refuses(1, opening(play, statement=OTHER), FaultyCoordinatorError, "V-0513")
    play.refuses(1, opening(play, root=OTHER), FaultyCoordinatorError, "V-0513")
    play.refuses(1, play.forge(Opening, payload=b""), FaultyCoordinatorError, "V-0513")


def test_V_0517_shares_of_too_few():
    """Pitfalls 2 and 15: the sum is opened with the shares of a quorum or not at all."""
    play = he(Opening)
    answers = play.message(Opening).answers
    short = answers[: play.message(Manifest).threshold - 1]
    play.refuses(1, opening(play, answers=short), FaultyCoordinatorError, "V-0517")
    play.refuses(1, opening(play, answers=()), FaultyCoordinatorError, "V-0517")


def test_V_0517_shares_that_do_not_open_do_not_count():
    play = he(Opening)
    answers = list(play.message(Opening).answers)
    for i in (0, 1):
        body = SealedShares.decode(answers[i].body)
        forged = replace(body, sealed=bytes(len(body.sealed)))
        answers[i] = play.resign(answers[i], forged.encode())
    play.refuses(1, opening(play, answers=tuple(answers)), FaultyCoordinatorError, "V-0517")


@pytest.mark.parametrize("lost", [(), (4,)])
def test_V_0518_a_sum_that_does_not_fit_the_lanes(lost):
    """Recipe 20, pitfall 15: the coordinator counts an upload twice, leaves one out, or adds noise of its own."""
    play = he(Open)
    play.present.difference_update(lost)
    play.until(Opening)
    total = encrypted_sum(play)
    twice = EncryptedVector.zeros(total.schema)
    twice.add(total)
    twice.add(total)
    play.refuses(1, opening(play, twice), FaultyCoordinatorError, "V-0518")
    play.refuses(1, opening(play, EncryptedVector.zeros(total.schema)), FaultyCoordinatorError, "V-0518")
    noisy = encrypted_sum(play)
    noisy.ciphertexts[0].residues[0, 0, 0] ^= np.uint64(1 << 30)
    play.refuses(1, opening(play, noisy), FaultyCoordinatorError, "V-0518")


def test_V_0518_a_vault_that_is_missing_or_false():
    play = he(Open)
    play.present.discard(4)
    play.until(Opening)
    for vaults in ({}, {4: bytes(176)}, {4: b""}):
        play.refuses(1, opening(play, vaults=vaults), FaultyCoordinatorError, "V-0518")


def test_V_0518_a_vault_of_another_length():
    """Pitfall 21: it opens, since its dealer sealed it so, and lacks a seed."""
    play = he(Open)
    play.present.discard(4)
    play.until(Opening)
    seed, round_ = play.parties[4].was(AwaitPrekeyList).vault_seed, play.state(1).current.round
    key = d.vault_key(d.vault_secret(seed, 4, round_, play.epoch), 4, round_, play.epoch)
    bound = d.vault_bound(play.epoch, 4, round_)
    short = keys.unseal(key, play.message(Opening).vaults[4], bound)[:-32]
    vaults = {4: keys.seal(key, short, bound)}
    play.refuses(1, opening(play, vaults=vaults), FaultyCoordinatorError, "V-0518")


def test_V_0518_shares_of_no_polynomial():
    play = he(Opening, threshold=4)
    frames = list(play.message(Opening).answers)
    for i in (0, 1):
        frames[i] = false_shares(play, frames[i])
    play.refuses(1, opening(play, answers=tuple(frames)), FaultyCoordinatorError, "V-0518")


def test_one_holder_with_false_shares_is_left_out():
    """With two answers more than the threshold the others agree, and the sum is opened without that holder's."""
    play = he(Opening, n=6, threshold=4, colluders=1)
    frames = list(play.message(Opening).answers)
    frames[2] = false_shares(play, frames[2])
    play.parties[1].receive(opening(play, answers=tuple(frames)))
    assert play.state(1).reals.tolist() == np.sum(list(play.vectors.values()), axis=0).tolist()


def test_V_0517_shares_for_less_than_the_roster_do_not_count():
    play = he(Opening)
    answers = list(play.message(Opening).answers)
    for i in (0, 1):
        answers[i] = resealed(play, answers[i], lambda shares: shares[:-32])
    play.refuses(1, opening(play, answers=tuple(answers)), FaultyCoordinatorError, "V-0517")


def false_shares(play: Play, frame: Frame) -> Frame:
    """Return a holder's SealedShares with one bit changed inside the seal."""
    return resealed(play, frame, lambda shares: bytes([shares[0] ^ 1]) + shares[1:])


def resealed(play: Play, frame: Frame, change: Callable[[bytes], bytes]) -> Frame:
    """Return a holder's SealedShares with other shares in it."""
    current, body, holder = play.state(1).current, SealedShares.decode(frame.body), frame.sender
    key = d.sealed_shares_key(current.group_key, holder, play.epoch)
    bound = d.sealed_shares_bound(play.epoch, holder, current.round, body.statement)
    shares = change(keys.unseal(key, body.sealed, bound))
    return play.resign(frame, replace(body, sealed=keys.seal(key, shares, bound)).encode())


def test_sealed_shares_that_come_twice_are_one_answer():
    play = he(SealedShares)
    coordinator = play.parties[0]
    coordinator.receive(play.parcel(SealedShares, 2))
    once = coordinator.state
    assert coordinator.receive(play.parcel(SealedShares, 2)) == []
    assert coordinator.state == once


def test_a_sum_is_opened_with_a_threshold_of_answers_and_of_the_schema_that_was_asked():
    play = he(SealedShares)
    total = play.parties[0].total
    play.denies(0, Publish(total), NotEnoughParticipantsError)
    for site in range(1, 6):
        play.parties[0].receive(play.parcel(SealedShares, site))
    another = EncryptedVector.zeros(replace(SCHEMA, mac_lanes=3))
    for wrong in (another, RingVector.zeros(SCHEMA)):
        play.denies(0, Publish(wrong), ParameterError)
    with pytest.raises(ParameterError):
        another.add(total)


def test_V_0701_an_opened_sum_of_a_site_that_is_not_in_it():
    play = he(Open)
    play.present.discard(4)
    play.until(Opened)
    forged = play.forge(Opened, 2, at={"sender": 4})
    play.refuses(0, forged, FaultyParticipantError, "V-0701", blames=4)


def test_V_0702_two_opened_sums_of_one_site():
    play = he(Opened)
    play.parties[0].receive(play.parcel(Opened, 2))
    play.refuses(0, play.forge(Opened, 2, root=OTHER), FaultyParticipantError, "V-0702", blames=2)


def test_V_0710_shares_for_another_set():
    play = he(SealedShares)
    play.refuses(0, play.forge(SealedShares, 2, statement=OTHER), FaultyParticipantError, "V-0710", blames=2)


def test_V_0711_an_opened_sum_that_is_not_its_digest_or_set():
    play = he(Opened)
    for changes in ({"statement": OTHER}, {"root": OTHER}, {"key": OTHER}):
        play.refuses(0, play.forge(Opened, 2, **changes), FaultyParticipantError, "V-0711", blames=2)
    play.refuses(0, play.forge(Opened, 2, payload=b""), FaultyParticipantError, "V-0711", blames=2)


def test_V_0711_a_rotated_sum_hidden_in_part():
    """Its entries are mixtures of the vector's, so a hidden one says nothing about any of them."""
    rotated = Segment(count=2, clip=8.0, step=0.0625, rotation=1)
    play = he(Opened, schema=replace(SCHEMA, segments=(rotated, replace(rotated, count=1, rotation=0))))
    current, bare = play.state(0).current, replace(play.schema, mac_lanes=0)
    bound = d.vector_bound(play.epoch, Opened.KIND, 2, current.round, current.context)
    vector = RingVector(bare, np.array([1, 2, 1 << (bare.ring_bits - 1)], np.uint32), np.zeros(0, np.uint64))
    sealed = seal_vector(vector, OTHER, bound)
    forged = play.forge(Opened, 2, payload=b"".join(sealed.chunks), root=sealed.root, key=OTHER)
    play.refuses(0, forged, FaultyParticipantError, "V-0711", blames=2)


def test_hidden_entries_that_do_not_fit_the_sum():
    play = he(Opening)
    play.parties[1].receive(play.parcel(Opening, to=1))
    play.denies(1, Release([True]), ParameterError)
    play.denies(1, Release([[False] * 3]), ParameterError)
    for values in ([0, 0], [0, 0, 1 << 10], [0.0, 0.0, 0.0]):
        play.denies(1, Release(values=values), ParameterError)


def test_a_site_that_hides_less_than_the_others_is_not_believed():
    """One site of five publishes what the others hide: the coordinator accepts what two publish alike."""
    play = he(Opening)
    for site in range(1, 6):
        play.parties[site].receive(play.parcel(Opening, to=site))
    parcels = {site: play.parties[site].tell(Release([False, site != 1, False]))[0] for site in range(1, 6)}
    coordinator = play.parties[0]
    for site in (1, 2, 3):
        coordinator.receive(parcels[site])
    (learned,) = (effect for effect in coordinator.effects if isinstance(effect, Learned))
    assert np.isnan(learned.total).tolist() == [False, True, False]


def test_the_coordinator_learns_what_more_sites_than_may_collude_agree_on():
    """One site of five may be false: its sum alone is not taken, and the true one is after two."""
    play = he(Opened)
    parcel, current = play.parcel(Opened, 1), play.state(0).current
    bare = replace(current.schema, mac_lanes=0)
    bound = d.vector_bound(play.epoch, Opened.KIND, 1, current.round, current.context)
    message = play.message(Opened, 1)
    vector = open_vector(parcel.payload, bare, message.key, bound, message.root)
    vector.elements[0] += 1
    sealed = seal_vector(vector, OTHER, bound)
    coordinator = play.parties[0]
    coordinator.receive(play.forge(Opened, 1, payload=b"".join(sealed.chunks), root=sealed.root, key=OTHER))
    for site, learned in ((2, 0), (3, 1), (4, 1)):
        coordinator.receive(play.parcel(Opened, site))
        assert sum(isinstance(effect, Learned) for effect in coordinator.effects) == learned
