"""V-02xx: frames that belong elsewhere, are not signed, or do not open; and the frames inside a list."""

from dataclasses import replace

import pytest

from secagg.envelope import EVERYONE
from secagg.errors import FaultyCoordinatorError, FaultyParticipantError, FaultyRelayError
from secagg.messages import (
    Cohort,
    Consistency,
    Decline,
    EncapsulationList,
    Encapsulations,
    Join,
    Manifest,
    Open,
    PrekeyList,
    Prekeys,
    Quorum,
    Ready,
    Receipt,
    Result,
    ShareList,
    Shares,
    Survivors,
    Unmask,
    Upload,
)
from tests.support.playbook import FROM_SITES, LISTS, SETUP_LISTS, Parcel, at

STRANGER = 99
OTHER = b"\xaa" * 32
TO_SITES = [Cohort, PrekeyList, EncapsulationList, ShareList, Ready, Open, Survivors, Quorum, Result]
TO_COORDINATOR = sorted(FROM_SITES, key=lambda kind: kind.KIND)
LISTED = dict(
    zip(LISTS, (Join, Prekeys, Encapsulations, Shares, Receipt, Upload, Consistency), strict=True),
)


def change_for(kind):
    """Return a change that any message of this kind, one without a seal, can bear."""
    return {
        Join: {"nonce_commitment": OTHER},
        Prekeys: {"mac_commitment": OTHER},
        Encapsulations: {"root": OTHER},
        Shares: {"root": OTHER},
        Receipt: {"accepted": ()},
        Upload: {"root": OTHER},
        Consistency: {"statement": OTHER},
    }[kind]


# The place of a frame ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [{"sender": 1}, {"recipient": 1}, {"round_": 1}, {"transcript": OTHER}],
    ids=lambda place: next(iter(place)),
)
def test_V_0201_manifest_out_of_place(place):
    play = at(Manifest)
    play.refuses(1, play.forge(Manifest, at=place, author=0), FaultyRelayError, "V-0201")


@pytest.mark.parametrize("kind", TO_SITES)
@pytest.mark.parametrize(
    "place", [{"sender": 2}, {"recipient": 2}, {"recipient": 0}, {"epoch": OTHER}], ids=["sender", "site", "C", "epoch"]
)
def test_V_0201_frame_for_somewhere_else(kind, place):
    """Pitfall 19, recipe 17: a frame is good in one epoch, from one party, for one party."""
    play = at(kind)
    play.refuses(1, play.forge(kind, at=place, author=0), FaultyRelayError, "V-0201")


@pytest.mark.parametrize("kind", TO_COORDINATOR)
@pytest.mark.parametrize(
    "place",
    [{"sender": 0}, {"sender": 4}, {"recipient": 1}, {"recipient": EVERYONE}, {"epoch": OTHER}],
    ids=["from C", "from nobody", "to a site", "to all", "epoch"],
)
def test_V_0201_frame_of_a_site_for_somewhere_else(kind, place):
    play = at(kind)
    play.refuses(0, play.forge(kind, 2, at=place, author=2), FaultyRelayError, "V-0201")


@pytest.mark.parametrize("kind", TO_SITES)
def test_V_0201_frame_for_everyone_or_for_one(kind):
    """A kind is for everyone or for each site, so the coordinator has one slot for what one site reads."""
    play = at(kind)
    other = 1 if kind.TO_EVERYONE else EVERYONE
    play.refuses(1, play.forge(kind, at={"recipient": other}, author=0), FaultyRelayError, "V-0201")


@pytest.mark.parametrize("kind", [Survivors, Quorum, Result])
def test_V_0201_frame_of_another_round(kind):
    play = at(kind, rounds=2)
    play.refuses(1, play.forge(kind, at={"round_": 2}), FaultyRelayError, "V-0201")


@pytest.mark.parametrize("kind", [Upload, Consistency, Unmask])
def test_V_0201_late_frame_of_an_earlier_round(kind):
    """Pitfall 19, recipe 21: an answer for round 1 is none for round 2."""
    play = at(kind, rounds=2)
    late = play.parcel(kind, 2)
    play.until(Open).until(kind)
    play.refuses(0, late, FaultyRelayError, "V-0201")


@pytest.mark.parametrize("kind", SETUP_LISTS)
def test_V_0201_list_of_the_setup_with_a_round(kind):
    """The coordinator has one slot for a list; a round of its own would give it a second one."""
    play = at(kind)
    play.refuses(1, play.forge(kind, at={"round_": 1}), FaultyCoordinatorError, "V-0201")


@pytest.mark.parametrize("kind", [Join, Prekeys, Encapsulations, Shares, Receipt])
def test_V_0201_frame_of_the_setup_with_a_round(kind):
    play = at(kind)
    play.refuses(0, play.forge(kind, 2, at={"round_": 1}), FaultyParticipantError, "V-0201", blames=2)


# Signature, transcript, seal ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Manifest, *TO_SITES])
@pytest.mark.parametrize("author", [1, 2, STRANGER])
def test_V_0202_signed_by_another_than_the_coordinator(kind, author):
    """Recipe 14."""
    play = at(kind)
    play.refuses(1, play.forge(kind, author=author), FaultyRelayError, "V-0202")


@pytest.mark.parametrize("kind", TO_COORDINATOR)
@pytest.mark.parametrize("author", [0, 1, STRANGER])
def test_V_0202_signed_by_another_than_the_site(kind, author):
    """Recipe 14."""
    play = at(kind)
    play.refuses(0, play.forge(kind, 2, author=author), FaultyRelayError, "V-0202")


@pytest.mark.parametrize("position", [-1, -64, 110, 80], ids=["s", "r", "body", "body's start"])
def test_V_0202_changed_on_the_way(position):
    play = at(PrekeyList)
    data = bytearray(play.frame(PrekeyList).encode())
    data[position] ^= 1
    play.refuses(1, bytes(data), FaultyRelayError, "V-0202")


@pytest.mark.parametrize("position", range(34, 66, 8))
def test_V_0202_transcript_changed_on_the_way(position):
    play = at(Join)
    data = bytearray(play.frame(Join, 2).encode())
    data[position] ^= 1
    play.refuses(0, bytes(data), FaultyRelayError, "V-0202")


@pytest.mark.parametrize("kind", TO_SITES)
def test_V_0203_coordinator_of_another_transcript(kind):
    """Pitfall 2, recipes 15 and 21: a site that was shown other lists goes no further."""
    play = at(kind)
    play.refuses(1, play.forge(kind, at={"transcript": OTHER}), FaultyCoordinatorError, "V-0203")


@pytest.mark.parametrize("kind", TO_COORDINATOR)
def test_V_0203_site_of_another_transcript(kind):
    play = at(kind)
    forged = play.forge(kind, 2, at={"transcript": OTHER})
    play.refuses(0, forged, FaultyParticipantError, "V-0203", blames=2)


@pytest.mark.parametrize("kind", [Open, Result])
def test_V_0204_coordinators_seal_does_not_open(kind):
    """Recipe 17."""
    play = at(kind)
    frame = play.frame(kind)
    for body in (b"", frame.body[:-1], bytes(len(frame.body)), play.frame(kind, to=2).body):
        play.refuses(1, Parcel(play.resign(frame, body)), FaultyCoordinatorError, "V-0204")


def test_V_0204_sites_answer_does_not_open():
    """Recipe 17."""
    play = at(Unmask)
    frame = play.frame(Unmask, 2)
    for body in (b"", frame.body[:-1], bytes(len(frame.body)), play.frame(Unmask, 3).body):
        play.refuses(0, Parcel(play.resign(frame, body)), FaultyParticipantError, "V-0204", blames=2)


def test_V_0204_decline_sealed_for_another_kind():
    play = at(Upload)
    frame = play.write(Decline(reason="no"), play.frame(Upload, 2), key=play.key(Unmask, 2))
    play.refuses(0, Parcel(frame), FaultyParticipantError, "V-0204", blames=2)


# The frames inside a list ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize(
    "place",
    [{"epoch": OTHER}, {"transcript": OTHER}, {"round_": 7}, {"recipient": 1}, {"kind": 20}, {"kind": 2}],
    ids=["epoch", "transcript", "round", "recipient", "kind", "join"],
)
def test_V_0205_listed_frame_of_another_place(kind, place):
    """Recipe 17."""
    play = at(kind)
    first, second, *others = play.listed(kind)
    if second.kind in place.values():
        place = {"kind": 10}
    wrong = play.resign(second, second.body, at=place)
    play.refuses(1, play.forge_list(kind, [first, wrong, *others]), FaultyCoordinatorError, "V-0205")


@pytest.mark.parametrize("kind", LISTS)
def test_V_0205_listed_frame_of_another_version(kind):
    play = at(kind)
    first, second, *others = play.listed(kind)
    play.refuses(
        1, play.forge_list(kind, [first, replace(second, version=2), *others]), FaultyCoordinatorError, "V-0205"
    )


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("author", [0, 1, STRANGER])
def test_V_0205_listed_frame_that_its_sender_did_not_sign(kind, author):
    """Recipe 14: the coordinator cannot speak for a site, a site not for another."""
    play = at(kind)
    first, _, *others = play.listed(kind)
    forged = play.forge(LISTED[kind], 2, author=author, **change_for(LISTED[kind])).frame
    play.refuses(1, play.forge_list(kind, [first, forged, *others]), FaultyCoordinatorError, "V-0205")


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("order", [(0, 2, 1), (0, 1, 1, 2), (1, 0, 2)], ids=["swapped", "twice", "first"])
def test_V_0206_listed_senders_do_not_ascend(kind, order):
    """Recipe 16."""
    play = at(kind)
    frames = play.listed(kind)
    play.refuses(1, play.forge_list(kind, [frames[i] for i in order]), FaultyCoordinatorError, "V-0206")


@pytest.mark.parametrize("kind", LISTS)
def test_V_0206_listed_sender_who_is_in_no_manifest(kind):
    """Recipe 16."""
    play = at(kind)
    frames = play.listed(kind)
    nobody = play.resign(frames[-1], frames[-1].body, at={"sender": 4})
    play.refuses(1, play.forge_list(kind, [*frames, nobody]), FaultyCoordinatorError, "V-0206")


@pytest.mark.parametrize("kind", LISTS)
def test_V_0206_coordinator_among_the_senders(kind):
    play = at(kind)
    frames = play.listed(kind)
    coordinators = play.resign(frames[0], frames[0].body, at={"sender": 0})
    play.refuses(1, play.forge_list(kind, [coordinators, *frames]), FaultyCoordinatorError, "V-0206")
