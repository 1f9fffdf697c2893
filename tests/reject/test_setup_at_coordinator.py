"""V-06xx: messages that the coordinator refuses from a site during setup. Each refusal names the site."""

from dataclasses import replace

import pytest

from secagg import merkle
from secagg.errors import FaultyParticipantError
from secagg.messages import (
    EncapsulationPackage,
    Encapsulations,
    Join,
    Prekeys,
    Receipt,
    Shares,
)
from tests.support.dealing import dealt, package_of, slot_of
from tests.support.playbook import Parcel, Play, at

OTHER = b"\xaa" * 32
LOW_ORDER = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
NOT_CANONICAL = (2**255 - 19 + 9).to_bytes(32, "little")
CHANGES = {
    Join: {"nonce_commitment": OTHER},
    Prekeys: {"mac_commitment": OTHER},
    Encapsulations: {"root": OTHER},
    Shares: {"root": OTHER},
    Receipt: {"refused": {9: 409}},
}


@pytest.mark.parametrize("kind", [Prekeys, Encapsulations, Shares, Receipt])
def test_V_0601_site_that_was_not_in_the_list_before(kind):
    play = at(kind, n=4, absent=(4,))
    newcomer = play.forge(kind, 3, at={"sender": 4})
    play.refuses(0, newcomer, FaultyParticipantError, "V-0601", blames=4)


@pytest.mark.parametrize("kind", CHANGES)
def test_V_0602_two_frames_for_one_step(kind):
    """Pitfall 33: a site that lost its state and draws anew contradicts itself."""
    play = at(kind)
    play.parties[0].receive(play.parcel(kind, 2))
    play.refuses(0, play.forge(kind, 2, **CHANGES[kind]), FaultyParticipantError, "V-0602", blames=2)


@pytest.mark.parametrize("kind", CHANGES)
def test_a_repetition_changes_nothing(kind):
    play = at(kind)
    party = play.parties[0]
    party.receive(play.parcel(kind, 2))
    once = party.state
    assert party.receive(play.parcel(kind, 2)) == []
    assert party.state == once


@pytest.mark.parametrize(
    "keys",
    [{"curve": LOW_ORDER}, {"curve": bytes(32)}, {"curve": NOT_CANONICAL}, {"kem": b"\xff" * 1184}],
    ids=["low order", "zero", "not canonical", "not reduced"],
)
def test_V_0603_bad_keys(keys):
    """Pitfall 18, recipe 22."""
    play = at(Prekeys)
    play.refuses(0, play.forge(Prekeys, 2, **keys), FaultyParticipantError, "V-0603", blames=2)


@pytest.mark.parametrize("name", ["curve", "kem"])
def test_V_0603_key_of_another_site(name):
    """Recipe 22."""
    play = at(Prekeys)
    play.parties[0].receive(play.parcel(Prekeys, 1))
    copied = {name: getattr(play.message(Prekeys, 1), name)}
    play.refuses(0, play.forge(Prekeys, 2, **copied), FaultyParticipantError, "V-0603", blames=2)


def test_V_0603_key_of_the_coordinator():
    """Recipe 22."""
    play = at(Prekeys)
    copied = play.state(0).manifest.coordinator_curve
    play.refuses(0, play.forge(Prekeys, 2, curve=copied), FaultyParticipantError, "V-0603", blames=2)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_V_0604_number_of_commitments(count):
    """Recipe 23."""
    play = at(Prekeys, rounds=2)
    wrong = play.forge(Prekeys, 2, self_commitments=(OTHER,) * count)
    play.refuses(0, wrong, FaultyParticipantError, "V-0604", blames=2)


def test_V_0605_nonce_does_not_open_its_commitment():
    play = at(Prekeys)
    for nonce in (OTHER, play.message(Prekeys, 3).nonce):
        play.refuses(0, play.forge(Prekeys, 2, nonce=nonce), FaultyParticipantError, "V-0605", blames=2)


def encapsulated(play: Play, change) -> Parcel:
    """Return site 2's encapsulations with other slots, signed as they should be."""
    slots = change(dict(EncapsulationPackage.decode(play.parcel(Encapsulations, 2).payload).slots))
    root = merkle.root(list(dict(sorted(slots.items())).values()))
    return play.forge(Encapsulations, 2, payload=EncapsulationPackage(slots=slots).encode(), root=root)


@pytest.mark.parametrize(
    "change",
    [
        lambda slots: {},
        lambda slots: {3: slots[3]},
        lambda slots: {**slots, 1: slots[3]},
        lambda slots: {**slots, 2: slots[3]},
        lambda slots: {**slots, 5: slots[3]},
    ],
    ids=["none", "one missing", "for a lower one", "for itself", "for nobody"],
)
def test_V_0606_ciphertext_for_each_of_higher_index(change):
    play = at(Encapsulations, n=4)
    play.refuses(0, encapsulated(play, change), FaultyParticipantError, "V-0606", blames=2)


def test_V_0606_ciphertexts_that_were_not_signed():
    play = at(Encapsulations, n=4)
    swapped = encapsulated(play, lambda slots: {3: slots[4], 4: slots[3]})
    for wrong in (
        play.forge(Encapsulations, 2, payload=swapped.payload),
        play.forge(Encapsulations, 2, root=OTHER),
    ):
        play.refuses(0, wrong, FaultyParticipantError, "V-0606", blames=2)


def test_V_0606_payload_missing_truncated_or_longer():
    play = at(Encapsulations, n=4)
    payload = play.parcel(Encapsulations, 2).payload
    for wrong in (b"", payload[:-1], payload + b"\0", b"\xff\xff\xff\xff", payload[2:]):
        play.refuses(0, play.forge(Encapsulations, 2, payload=wrong), FaultyParticipantError, "V-0606", blames=2)
    play.refuses(0, play.frame(Encapsulations, 2).encode(), FaultyParticipantError, "V-0606", blames=2)


def test_V_0607_slot_missing_or_too_many():
    play = at(Shares)
    package = package_of(play, 2)
    for slots in (
        {},
        {site: slot for site, slot in package.slots.items() if site != 2},
        {site: slot for site, slot in package.slots.items() if site != 3},
        {**package.slots, 4: package.slots[3]},
    ):
        wrong = replace(package, slots=slots)
        root = merkle.root(slots.values())
        parcel = play.forge(Shares, 2, root=root, payload=wrong.encode())
        play.refuses(0, parcel, FaultyParticipantError, "V-0607", blames=2)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("name", ["vault_hashes", "vault_commitments"])
def test_V_0607_signed_vaults_are_not_one_a_round(name, count):
    play = at(Shares, rounds=2)
    wrong = play.forge(Shares, 2, **{name: (OTHER,) * count})
    play.refuses(0, wrong, FaultyParticipantError, "V-0607", blames=2)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_V_0607_vaults_are_not_one_a_round(count):
    play = at(Shares, rounds=2)
    package = package_of(play, 2)
    wrong = replace(package, vaults=(package.vaults * 2)[:count])
    play.refuses(0, play.forge(Shares, 2, payload=wrong.encode()), FaultyParticipantError, "V-0607", blames=2)


def test_V_0607_vaults_that_were_not_signed():
    play = at(Shares, rounds=2)
    package = package_of(play, 2)
    for vaults in (package.vaults[::-1], (b"", package.vaults[1]), package_of(play, 3).vaults):
        wrong = replace(package, vaults=vaults)
        play.refuses(0, play.forge(Shares, 2, payload=wrong.encode()), FaultyParticipantError, "V-0607", blames=2)


@pytest.mark.parametrize(
    ("holder", "change"),
    [
        (1, {"edges": ()}),
        (1, {"edges": (OTHER, OTHER)}),
        (2, {"edges": (OTHER,)}),
        (1, {"leaves": (OTHER,)}),
        (2, {"leaves": ()}),
        (3, {"leaves": (OTHER,) * 4}),
    ],
)
def test_V_0607_number_of_edges_or_leaves(holder, change):
    play = at(Shares)
    wrong = dealt(play, 2, slots={holder: replace(slot_of(play, 2, holder), **change)})
    play.refuses(0, wrong, FaultyParticipantError, "V-0607", blames=2)


def test_V_0607_slots_that_were_not_signed():
    play = at(Shares)
    package = package_of(play, 2)
    swapped = replace(package, slots={**package.slots, 1: package.slots[3], 3: package.slots[1]})
    for wrong in (play.forge(Shares, 2, payload=swapped.encode()), play.forge(Shares, 2, root=OTHER)):
        play.refuses(0, wrong, FaultyParticipantError, "V-0607", blames=2)


def test_V_0607_payload_missing_truncated_or_longer():
    play = at(Shares)
    payload = play.parcel(Shares, 2).payload
    for wrong in (b"", payload[:-1], payload + b"\0", b"\xff\xff\xff\xff", payload[4:]):
        play.refuses(0, play.forge(Shares, 2, payload=wrong), FaultyParticipantError, "V-0607", blames=2)


def test_V_0608_channel_keys_differ():
    play = at(Shares)
    wrong = play.message(Shares, 3).channel_confirmation
    for confirmation in (OTHER, wrong):
        forged = play.forge(Shares, 2, channel_confirmation=confirmation)
        play.refuses(0, forged, FaultyParticipantError, "V-0608", blames=2)


@pytest.mark.parametrize(
    "receipt",
    [
        {"accepted": ()},
        {"accepted": (1, 3)},
        {"accepted": (1, 2, 3, 4)},
        {"accepted": (1, 3, 4, 5)},
        {"accepted": (1, 3, 4), "refused": {4: 409}},
        {"accepted": (1, 3, 4), "refused": {9: 409}},
        {"accepted": (1, 3), "refused": {2: 409}},
    ],
    ids=["nobody", "silent on one", "itself", "a stranger", "both", "refuses a stranger", "refuses itself"],
)
def test_V_0609_receipt_is_not_about_every_other_dealer(receipt):
    play = at(Receipt, n=4)
    play.refuses(0, play.forge(Receipt, 2, **receipt), FaultyParticipantError, "V-0609", blames=2)
