"""V-04xx: lists, keys and shares that a site refuses during setup, and dealers that it refuses in its receipt."""

from dataclasses import replace

import pytest

from secagg import merkle
from secagg.errors import FaultyCoordinatorError
from secagg.messages import (
    Cohort,
    EncapsulationList,
    EncapsulationPackage,
    Encapsulations,
    EncapsulationSlot,
    Join,
    PrekeyList,
    Prekeys,
    ProvenShareSlot,
    Ready,
    Receipt,
    ShareList,
    Shares,
    ShareSlot,
)
from tests.support.dealing import dealt, flipped, resealed, shown, slot_of
from tests.support.playbook import SETUP_LISTS, Parcel, Play, at

OTHER = b"\xaa" * 32
LOW_ORDER = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
NOT_CANONICAL = (2**255 - 19 + 9).to_bytes(32, "little")
NOT_REDUCED = b"\xff" * 1184


def with_keys(play: Play, site: int, **keys) -> Parcel:
    """Return the list of prekeys in which a site has other keys."""
    forged = play.forge(Prekeys, site, **keys).frame
    frames = [forged if frame.sender == site else frame for frame in play.listed(PrekeyList)]
    return play.forge_list(PrekeyList, frames)


# What holds for every list -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SETUP_LISTS)
def test_V_0401_list_too_short(kind):
    play = at(kind, n=4)
    play.refuses(1, play.forge_list(kind, play.listed(kind)[:2]), FaultyCoordinatorError, "V-0401")


@pytest.mark.parametrize("kind", SETUP_LISTS)
def test_V_0401_list_without_the_slack(kind):
    play = at(kind, n=4, slack=1)
    play.refuses(1, play.forge_list(kind, play.listed(kind)[:3]), FaultyCoordinatorError, "V-0401")


@pytest.mark.parametrize("kind", SETUP_LISTS[:-1])
def test_V_0402_own_frame_missing(kind):
    play = at(kind, n=4)
    play.refuses(1, play.forge_list(kind, play.listed(kind)[1:]), FaultyCoordinatorError, "V-0402")


@pytest.mark.parametrize(
    ("kind", "sent", "change"),
    [
        (Cohort, Join, {"nonce_commitment": OTHER}),
        (PrekeyList, Prekeys, {"mac_commitment": OTHER}),
        (EncapsulationList, Encapsulations, {"root": OTHER}),
        (ShareList, Shares, {"root": OTHER}),
        (Ready, Receipt, {"refused": {9: 409}}),
    ],
)
def test_V_0402_own_frame_another_one(kind, sent, change):
    """Pitfall 33: what a site signed before it was restored is not what it goes on with."""
    play = at(kind)
    another = play.forge(sent, 1, **change).frame
    play.refuses(1, play.forge_list(kind, [another, *play.listed(kind)[1:]]), FaultyCoordinatorError, "V-0402")


@pytest.mark.parametrize(
    ("kind", "sent"),
    [(PrekeyList, Prekeys), (EncapsulationList, Encapsulations), (ShareList, Shares), (Ready, Receipt)],
)
def test_V_0403_list_names_a_newcomer(kind, sent):
    play = at(kind, n=4, absent=(4,))
    newcomer = play.forge(sent, 3, at={"sender": 4}).frame
    play.refuses(1, play.forge_list(kind, [*play.listed(kind), newcomer]), FaultyCoordinatorError, "V-0403")


def test_V_0403_ready_names_a_site_that_was_refused():
    play = at(Shares, n=4)
    wrong = replace(slot_of(play, 2), sealed=b"")
    play.swap(Shares, 2, dealt(play, 2, slots={1: wrong}))
    play.until(Ready)
    assert play.message(Receipt, 1).refused == {2: 409}
    everyone = [play.frame(Receipt, site) for site in range(1, 5)]
    play.refuses(1, play.forge_list(Ready, everyone), FaultyCoordinatorError, "V-0403")


# Prekeys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [{"curve": LOW_ORDER}, {"curve": bytes(32)}, {"curve": NOT_CANONICAL}, {"kem": NOT_REDUCED}],
    ids=["low order", "zero", "not canonical", "not reduced"],
)
def test_V_0404_bad_keys(keys):
    """Pitfall 18, recipe 22."""
    play = at(PrekeyList)
    play.refuses(1, with_keys(play, 2, **keys), FaultyCoordinatorError, "V-0404")


@pytest.mark.parametrize(("name", "owner"), [("curve", 1), ("curve", 3), ("kem", 1), ("kem", 3)])
def test_V_0404_key_of_another_site(name, owner):
    """Recipe 22."""
    play = at(PrekeyList)
    copied = getattr(play.message(Prekeys, owner), name)
    play.refuses(1, with_keys(play, 2, **{name: copied}), FaultyCoordinatorError, "V-0404")


def test_V_0404_key_of_the_coordinator():
    """Recipe 22."""
    play = at(PrekeyList)
    copied = play.state(1).membership.manifest.coordinator_curve
    play.refuses(1, with_keys(play, 2, curve=copied), FaultyCoordinatorError, "V-0404")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_V_0405_number_of_commitments(count):
    play = at(PrekeyList, rounds=2)
    play.refuses(1, with_keys(play, 2, self_commitments=(OTHER,) * count), FaultyCoordinatorError, "V-0405")


@pytest.mark.parametrize("nonce", [OTHER, bytes(32)])
def test_V_0406_nonce_does_not_open_its_commitment(nonce):
    play = at(PrekeyList)
    play.refuses(1, with_keys(play, 2, nonce=nonce), FaultyCoordinatorError, "V-0406")


def test_V_0406_nonce_of_another_site():
    play = at(PrekeyList)
    play.refuses(1, with_keys(play, 2, nonce=play.message(Prekeys, 3).nonce), FaultyCoordinatorError, "V-0406")


# Encapsulations ----------------------------------------------------------------------------------------------------


def test_V_0408_encapsulation_missing_or_from_a_higher_site():
    play = at(EncapsulationList)
    slots = play.message(EncapsulationList, to=3).slots
    for wrong in ({1: slots[1]}, {**slots, 3: slots[1]}, {}):
        play.refuses(3, play.forge(EncapsulationList, to=3, slots=wrong), FaultyCoordinatorError, "V-0408")


def test_V_0408_encapsulation_that_was_not_signed():
    play = at(EncapsulationList, n=5)
    slots = play.message(EncapsulationList, to=3).slots
    first, second = EncapsulationSlot.decode(slots[1]), EncapsulationSlot.decode(slots[2])
    for wrong in (
        second,
        replace(first, ciphertext=second.ciphertext),
        replace(first, path=first.path[:-1]),
        replace(first, path=(*first.path, OTHER)),
        replace(first, path=(OTHER, *first.path[1:])),
        EncapsulationSlot.decode(play.message(EncapsulationList, to=4).slots[1]),
    ):
        forged = play.forge(EncapsulationList, to=3, slots={**slots, 1: wrong.encode()})
        play.refuses(3, forged, FaultyCoordinatorError, "V-0408")


# Shares ------------------------------------------------------------------------------------------------------------


def refuses_dealer(play: Play, parcel: Parcel, check: int, dealer: int = 2) -> None:
    """Assert that site 1 goes on, and that its receipt refuses this dealer alone, for this check."""
    (receipt,) = play.parties[1].receive(parcel)
    message = Receipt.decode(receipt.frame.body)
    assert message.refused == {dealer: check}
    assert set(message.accepted) == {2, 3, 4} - {dealer}
    assert dealer not in play.state(1).pair_chains
    assert all(dealer not in row for row in play.state(1).rows.values())


def test_V_0408_share_slot_missing_or_too_many():
    play = at(ShareList)
    slots = play.message(ShareList).slots
    for wrong in ({}, {2: slots[2]}, {**slots, 1: slots[2]}, {**slots, 4: slots[2]}):
        play.refuses(1, play.forge(ShareList, slots=wrong), FaultyCoordinatorError, "V-0408")


def test_V_0408_share_slot_that_was_not_signed():
    """Recipe 17."""
    play = at(ShareList, n=4)
    slots = play.message(ShareList).slots
    second, third = ProvenShareSlot.decode(slots[2]), ProvenShareSlot.decode(slots[3])
    slot = ShareSlot.decode(second.slot)
    for wrong in (
        third,
        replace(second, slot=replace(slot, sealed=slot.sealed[:-1]).encode()),
        replace(second, slot=replace(slot, edges=(OTHER,)).encode()),
        replace(second, path=second.path[:-1]),
        replace(second, path=(*second.path, OTHER)),
        ProvenShareSlot.decode(play.message(ShareList, to=3).slots[2]),
    ):
        forged = play.forge(ShareList, slots={**slots, 2: wrong.encode()})
        play.refuses(1, forged, FaultyCoordinatorError, "V-0408")


def test_V_0409_blob_does_not_open():
    play = at(ShareList, n=4)
    slot = slot_of(play, 2)
    for sealed in (b"", slot.sealed[:-1], slot.sealed + b"\0", bytes(len(slot.sealed)), slot_of(play, 2, 3).sealed):
        refuses_dealer(play.copy(), shown(play, 2, replace(slot, sealed=sealed)), 409)


def test_V_0409_blob_of_the_other_direction():
    """Pitfall 19, recipe 17: what the site itself sealed for the dealer does not open as the dealer's."""
    play = at(ShareList, n=4)
    reflected = slot_of(play, 1, 2).sealed
    refuses_dealer(play, shown(play, 2, replace(slot_of(play, 2), sealed=reflected)), 409)


@pytest.mark.parametrize("change", [lambda p: p[:-1], lambda p: p + b"\0", lambda p: p[32:], lambda _: b""])
def test_V_0409_shares_of_another_length(change):
    """Recipe 23."""
    play = at(ShareList, n=4)
    refuses_dealer(play, shown(play, 2, resealed(play, 2, 1, change)), 409)


def test_V_0410_shares_that_are_not_those_of_their_leaves():
    """Pitfall 22, recipe 23."""
    play = at(ShareList, n=4)
    wrong = resealed(play, 2, 1, flipped)
    refuses_dealer(play, shown(play, 2, wrong), 410)


def test_V_0410_number_or_order_of_leaves():
    """Recipe 23."""
    play = at(ShareList, n=4)
    slot = slot_of(play, 2)
    for leaves in ((), slot.leaves[:1], slot.leaves[::-1], (*slot.leaves, OTHER)):
        refuses_dealer(play.copy(), shown(play, 2, replace(slot, leaves=leaves)), 410)


def test_V_0411_kappa_is_not_the_committed_one():
    play = at(ShareList, n=4)
    wrong = resealed(play, 2, 1, lambda plain: flipped(plain, len(plain) - 1))
    refuses_dealer(play, shown(play, 2, wrong), 411)


def test_V_0412_edges_differ_at_the_two_ends():
    """Pitfall 23."""
    play = at(ShareList, n=4, rounds=2)
    slot = slot_of(play, 2)
    for edges in ((OTHER, slot.edges[1]), (slot.edges[0], OTHER), slot.edges[::-1]):
        refuses_dealer(play.copy(), shown(play, 2, replace(slot, edges=edges)), 412)


def test_V_0412_wrong_encapsulation_shows_as_an_edge_that_differs():
    """Pitfall 23: ML-KEM rejects silently, so a ciphertext for another key is noticed here, by both ends."""
    play = at(Encapsulations, n=4)
    package = EncapsulationPackage.decode(play.parcel(Encapsulations, 1).payload)
    slots = {**package.slots, 2: package.slots[3]}
    wrong = play.forge(
        Encapsulations,
        1,
        root=merkle.root(list(slots.values())),
        payload=EncapsulationPackage(slots=slots).encode(),
    )
    play.swap(Encapsulations, 1, wrong)
    play.until(Receipt)
    refused = {site: play.message(Receipt, site).refused for site in range(1, 5)}
    assert refused == {1: {2: 409}, 2: {1: 409}, 3: {}, 4: {}}


@pytest.mark.parametrize("change", ["edges", "vault_hashes", "vault_commitments"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_V_0413_counts_that_are_not_the_rounds(change, count):
    play = at(ShareList, n=4, rounds=2)
    slot, hashes = slot_of(play, 2), (OTHER,) * count
    header = {} if change == "edges" else {change: hashes}
    slot = replace(slot, edges=hashes) if change == "edges" else slot
    refuses_dealer(play, shown(play, 2, slot, **header), 413)


# Ready -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [(), (1, 3), (1, 2, 3)], ids=["nobody", "not the fourth", "itself"])
def test_V_0414_member_that_did_not_accept_another(accepted):
    play = at(Ready, n=4)
    frames = list(play.listed(Ready))
    frames[1] = play.forge(Receipt, 2, accepted=accepted, refused={}).frame
    play.refuses(1, play.forge_list(Ready, frames), FaultyCoordinatorError, "V-0414")


def test_V_0416_site_is_no_member():
    play = at(Ready, n=4)
    play.refuses(1, play.forge_list(Ready, play.listed(Ready)[1:]), FaultyCoordinatorError, "V-0416")
