"""V-05xx: rounds, survivors, quorums and sums that a site refuses."""

from dataclasses import replace

import numpy as np
import pytest

from secagg.envelope import COORDINATOR, EVERYONE
from secagg.errors import FaultyCoordinatorError, FaultyRelayError
from secagg.messages import Consistency, Open, Quorum, Result, Survivors, Unmask, Upload
from secagg.params import LossRule, Profile, Rounding, Schema
from secagg.protocol import derivations as d
from secagg.protocol.ring_vector import RingVector, open_vector, seal_vector
from secagg.protocol.step import Contribute, DeclineRound
from tests.support.playbook import SCHEMA, Parcel, Play, at, listing

OTHER = b"\xaa" * 32
SEGMENT = SCHEMA.segments[0]


def lost(kind, site: int, **options) -> Play:
    """Return a play in which a site is lost after it uploaded, or before where `kind` is Upload, and others go on."""
    play = at(Open, **options)
    play.present.discard(site)
    return play.until(kind)


# Open --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Upload, Survivors, Consistency, Quorum, Unmask, Result])
def test_V_0501_round_opened_twice(kind):
    """Pitfall 27: of two Opens for one round the second is refused, whatever it says."""
    play = at(kind)
    first = play.frame(Open)
    for again in (
        first,
        play.resign(first, b"another query"),
    ):
        play.refuses(1, Parcel(again), FaultyRelayError, "V-0501")


def test_V_0501_round_that_was_declined_or_is_over():
    play = at(Open, rounds=2)
    first = play.parcel(Open)
    declining = play.copy()
    declining.parties[1].receive(first)
    declining.parties[1].tell(DeclineRound("not today"))
    declining.refuses(1, first, FaultyRelayError, "V-0501")
    play.until(Result).until(Open)
    play.refuses(1, first, FaultyRelayError, "V-0501")
    play.refuses(1, play.forge(Open, at={"round_": 0}), FaultyRelayError, "V-0501")


@pytest.mark.parametrize("round_", [3, 4, 2**32 - 1])
def test_V_0502_round_beyond_the_epoch(round_):
    """Pitfall 27: no chain is moved past the rounds that shares were dealt for."""
    play = at(Open, rounds=2)
    play.refuses(1, play.forge(Open, at={"round_": round_}), FaultyCoordinatorError, "V-0502")


@pytest.mark.parametrize(
    "schema",
    [
        Schema(ring_bits=11, mac_lanes=2, segments=()),
        Schema(ring_bits=11, mac_lanes=2, segments=(replace(SEGMENT, count=0),)),
        Schema(ring_bits=11, mac_lanes=2, segments=(SEGMENT, replace(SEGMENT, count=0))),
        Schema(ring_bits=11, mac_lanes=2, segments=(replace(SEGMENT, count=2**20 + 1),)),
        Schema(ring_bits=11, mac_lanes=2, segments=(replace(SEGMENT, count=2**32 - 1),) * 4),
        Schema(ring_bits=11, mac_lanes=2, segments=(replace(SEGMENT, clip=0.0),)),
        Schema(ring_bits=11, mac_lanes=2, segments=(replace(SEGMENT, clip=-8.0),)),
        Schema(ring_bits=11, mac_lanes=2, segments=(replace(SEGMENT, step=0.0),)),
        Schema(ring_bits=11, mac_lanes=2, segments=(replace(SEGMENT, step=-0.5),)),
        Schema(ring_bits=11, mac_lanes=2, segments=(replace(SEGMENT, step=100.0),)),
        Schema(ring_bits=11, mac_lanes=2, segments=(replace(SEGMENT, clip=1e308, step=1e-308),)),
        Schema(ring_bits=40, mac_lanes=3, segments=(replace(SEGMENT, clip=1e308, step=1e280),)),
        Schema(ring_bits=0, mac_lanes=1, segments=(SEGMENT,)),
        Schema(ring_bits=1, mac_lanes=1, segments=(SEGMENT,)),
        Schema(ring_bits=41, mac_lanes=3, segments=(SEGMENT,)),
        Schema(ring_bits=255, mac_lanes=2, segments=(SEGMENT,)),
        Schema(ring_bits=11, mac_lanes=0, segments=(SEGMENT,)),
        Schema(ring_bits=11, mac_lanes=1, segments=(SEGMENT,)),
        Schema(ring_bits=40, mac_lanes=2, segments=(SEGMENT,)),
        Schema(ring_bits=11, mac_lanes=65, segments=(SEGMENT,)),
        Schema(ring_bits=9, mac_lanes=2, segments=(SEGMENT,)),
        Schema(ring_bits=11, mac_lanes=2, segments=(SEGMENT, replace(SEGMENT, clip=22.0))),
        Schema(ring_bits=11, mac_lanes=2, segments=(replace(SEGMENT, rotation=17),)),
        Schema(
            ring_bits=11,
            mac_lanes=2,
            segments=(replace(SEGMENT, clip=341 * 0.0625, rounding=Rounding.STOCHASTIC),),
        ),
    ],
    ids=[
        "no segments", "empty", "one empty", "too long", "far too long", "clip 0", "clip < 0", "step 0", "step < 0",
        "no level", "infinite levels", "levels beyond 2^62", "ring 0", "ring 1", "ring beyond the limit", "ring 255",
        "no lanes", "one lane", "two lanes of 40 bits", "65 lanes", "no head-room", "no head-room in one",
        "blocks too large", "no head-room to round up",
    ],
)  # fmt: skip
def test_V_0504_schema(schema):
    """Pitfall 17: a sum that could wrap around is refused before anything is masked."""
    play = at(Open, max_lanes=2**20, max_ring_bits=40)
    play.refuses(1, play.forge(Open, schema=schema), FaultyCoordinatorError, "V-0504")


def test_semi_honest_rounds_may_do_without_lanes():
    schema = replace(SCHEMA, mac_lanes=0)
    play = at(Open, profile=Profile.SEMI_HONEST)
    play.parties[1].receive(play.forge(Open, schema=schema))
    assert play.state(1).current.schema == schema


def test_V_0504_head_room_is_that_of_the_roster():
    """128 levels and three sites need 10 bits, four sites 11."""
    play = at(Open, n=4)
    tight = replace(SCHEMA, ring_bits=10)
    play.refuses(1, play.forge(Open, schema=tight), FaultyCoordinatorError, "V-0504")
    assert play.parties[1].receive(play.forge(Open, schema=tight, roster=(1, 2, 3))) == []


@pytest.mark.parametrize(
    "roster",
    [(), (1,), (1, 2), (2, 3, 4), (1, 2, 3, 5), (1, 2, 3, 4, 65_535), (0, 1, 2, 3)],
    ids=["nobody", "alone", "too small", "without me", "nobody's number", "everyone's number", "coordinator"],
)
def test_V_0505_roster(roster):
    """Pitfall 27, recipe 16: rosters that are too small, or name somebody who cannot be asked."""
    play = at(Open, n=4)
    play.refuses(1, play.forge(Open, roster=roster), FaultyCoordinatorError, "V-0505")


def test_V_0505_roster_with_a_site_that_is_no_member():
    play = at(Open, n=4, absent=(4,))
    play.refuses(1, play.forge(Open, roster=(1, 2, 3, 4)), FaultyCoordinatorError, "V-0505")


def test_V_0505_roster_with_a_site_that_was_lost():
    """Pitfall 30, recipe 18: survivors only shrink within a run, so no site comes and goes between two sums."""
    play = lost(Result, 4, n=4, rounds=2)
    play.present.add(4)
    play.until(Open)
    play.refuses(1, play.forge(Open, roster=(1, 2, 3, 4)), FaultyCoordinatorError, "V-0505")


# Survivors ---------------------------------------------------------------------------------------------------------


def test_V_0507_survivor_of_another_query():
    """Pitfall 9, recipe 19: sites that were shown different models are not summed."""
    play = at(Survivors)
    first, _, third = play.listed(Survivors)
    other = play.forge(Upload, 2, context=OTHER).frame
    play.refuses(1, play.forge_list(Survivors, (first, other, third)), FaultyCoordinatorError, "V-0507")


def test_V_0508_survivor_who_was_not_asked():
    """Recipe 16."""
    play = at(Survivors, n=4, roster=(1, 2, 3))
    uploads = play.listed(Survivors)
    unasked = play.resign(uploads[2], uploads[2].body, at={"sender": 4})
    play.refuses(1, play.forge_list(Survivors, (*uploads, unasked)), FaultyCoordinatorError, "V-0508")


def test_V_0509_own_upload_missing_or_another():
    """Pitfalls 1 and 14: a site unmasks nothing that denies or replaces what it sent."""
    play = at(Survivors, n=4)
    others = play.listed(Survivors)[1:]
    play.refuses(1, play.forge_list(Survivors, others), FaultyCoordinatorError, "V-0509")
    another = play.forge(Upload, 1, root=OTHER).frame
    play.refuses(1, play.forge_list(Survivors, (another, *others)), FaultyCoordinatorError, "V-0509")


@pytest.mark.parametrize("count", [1, 2])
def test_V_0510_too_few_survivors(count):
    """Recipe 16."""
    play = at(Survivors, n=4)
    play.refuses(1, play.forge_list(Survivors, play.listed(Survivors)[:count]), FaultyCoordinatorError, "V-0510")


def test_V_0511_loss_where_the_run_ends_with_one():
    play = at(Survivors, n=4, loss_rule=LossRule.ABORT)
    three = play.forge_list(Survivors, play.listed(Survivors)[:3])
    play.refuses(1, three, FaultyCoordinatorError, "V-0511")


def test_V_0511_loss_by_a_smaller_roster():
    """Pitfall 30, recipe 18: who is not asked any more is lost as well, and the difference of two sums is that site."""
    play = at(Open, n=4, rounds=2, loss_rule=LossRule.CONTINUE).until(Open)
    for index, party in play.parties.items():
        if index:  # the coordinator's own machine would not do this
            membership = replace(
                party.state.membership, manifest=replace(party.state.membership.manifest, loss_rule=LossRule.ABORT)
            )
            party.state = replace(party.state, membership=membership)
    smaller = play.forge(Open, roster=(1, 2, 3))
    party = play.parties[1]
    party.receive(smaller)
    (upload,) = party.tell(Contribute(play.vectors[1]))
    context = Upload.decode(upload.frame.body).context
    others = [play.write(Upload(context=context, root=OTHER), upload.frame, at={"sender": site}) for site in (2, 3)]
    survivors = Survivors(uploads=listing((upload.frame, *others)))
    place = {"round_": 2, "recipient": EVERYONE}
    play.refuses(1, Parcel(play.write(survivors, smaller.frame, at=place)), FaultyCoordinatorError, "V-0511")


def test_V_0512_too_few_signatures():
    """Pitfalls 2 and 32, recipes 15 and 16: no share leaves before t members of the set signed that set."""
    play = at(Quorum, n=4)
    signatures = play.listed(Quorum)
    for few in (signatures[:2], signatures[1:3], ()):
        play.refuses(1, play.forge_list(Quorum, few), FaultyCoordinatorError, "V-0512")


def test_V_0512_signatures_on_another_statement():
    """Pitfall 2, recipe 15."""
    play = at(Quorum, n=4)
    first, second, *_ = play.listed(Quorum)
    others = [play.forge(Consistency, site, statement=OTHER).frame for site in (3, 4)]
    play.refuses(1, play.forge_list(Quorum, (first, second, *others)), FaultyCoordinatorError, "V-0512")


def test_V_0512_signatures_of_sites_that_are_not_in_the_set():
    """Pitfall 32: a quorum counts survivors alone."""
    play = lost(Quorum, 4, n=4)
    first, second, _ = play.listed(Quorum)
    outside = play.resign(first, first.body, at={"sender": 4})
    play.refuses(1, play.forge_list(Quorum, (first, second, outside)), FaultyCoordinatorError, "V-0512")


# Result ------------------------------------------------------------------------------------------------------------


def opened(play: Play) -> tuple[RingVector, bytes, bytes]:
    """Return the published vector, its key, and what it is bound to."""
    state, message = play.state(1), play.message(Result)
    bound = d.vector_bound(play.epoch, Result.KIND, COORDINATOR, state.round, state.context)
    payload = play.parcel(Result).payload
    return open_vector(payload, play.schema, message.key, bound, message.root), message.key, bound


def published(play: Play, vector: RingVector) -> Parcel:
    """Return a Result that publishes this vector in due form."""
    _, key, bound = opened(play)
    sealed = seal_vector(vector, key, bound)
    return play.forge(Result, root=sealed.root, payload=b"".join(sealed.chunks))


def test_V_0513_sum_over_another_set():
    """Recipe 20."""
    play = at(Result)
    play.refuses(1, play.forge(Result, statement=OTHER), FaultyCoordinatorError, "V-0513")


@pytest.mark.parametrize("change", [{"root": OTHER}, {"key": OTHER}], ids=["root", "key"])
def test_V_0513_sum_that_is_not_the_signed_one(change):
    """Recipe 20."""
    play = at(Result)
    play.refuses(1, play.forge(Result, **change), FaultyCoordinatorError, "V-0513")


def test_V_0513_payload_missing_truncated_or_changed():
    play = at(Result)
    payload = play.parcel(Result).payload
    for wrong in (b"", payload[:-1], payload + b"\0", bytes(len(payload)), payload[::-1]):
        play.refuses(1, play.forge(Result, payload=wrong), FaultyCoordinatorError, "V-0513")
    play.refuses(1, play.frame(Result).encode(), FaultyCoordinatorError, "V-0513")


@pytest.mark.parametrize("entry", [0, 1, 2])
@pytest.mark.parametrize("bit", [0, 5, 10])
def test_V_0514_false_sum(entry, bit):
    """Pitfall 29, recipe 20: a sum that is off by anything in any entry does not fit the lanes."""
    play = at(Result)
    vector, _, _ = opened(play)
    vector.elements[entry] ^= np.uint32(1 << bit)
    play.refuses(1, published(play, vector), FaultyCoordinatorError, "V-0514")


@pytest.mark.parametrize("lane", [0, 1])
def test_V_0514_false_lane(lane):
    """Recipe 20."""
    play = at(Result)
    vector, _, _ = opened(play)
    vector.lanes[lane] ^= np.uint64(1)
    play.refuses(1, published(play, vector), FaultyCoordinatorError, "V-0514")


@pytest.mark.parametrize("factor", [0, 2, 3, -1])
def test_V_0514_multiple_of_the_sum(factor):
    """Recipe 20: lanes are linear, so that a multiple of a sum would fit the same multiple of its lanes, even zeros."""
    play = at(Result)
    vector, _, _ = opened(play)
    multiple = np.array(factor).astype(np.int64)
    vector.elements[:] *= multiple.astype(vector.elements.dtype)
    vector.lanes[:] *= multiple.astype(np.uint64)
    play.refuses(1, published(play, vector), FaultyCoordinatorError, "V-0514")


def test_V_0514_lanes_of_another_set():
    """Recipe 20: lanes say whose sum it is, too. Sum and lanes are taken from a round of the same vectors."""
    whole, fewer = at(Result, n=4), at(Open, n=4)
    fewer.present.discard(4)
    fewer.vectors[3] = [sum(pair) for pair in zip(fewer.vectors[3], fewer.vectors[4], strict=True)]
    fewer.until(Result)
    vector, _, _ = opened(fewer)
    assert vector.values().tolist() == opened(whole)[0].values().tolist()
    whole.refuses(1, published(whole, vector), FaultyCoordinatorError, "V-0514")


def test_V_0514_sum_of_another_round():
    """Pitfall 19: lanes are keyed by round and context."""
    play = at(Result, rounds=2)
    first, _, _ = opened(play)
    play.until(Open).until(Result)
    play.refuses(1, published(play, first), FaultyCoordinatorError, "V-0514")
