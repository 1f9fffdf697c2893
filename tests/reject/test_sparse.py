"""Checks that a sparse graph adds: lists shown in part, a seed that nobody chose, a site's own neighbours.

Nine sites with six neighbours each, five of which must answer; two sites may collude and three be lost.
"""

from collections.abc import Collection
from dataclasses import replace

import pytest

from secagg.envelope import Frame
from secagg.errors import FaultyCoordinatorError, FaultyParticipantError, NotEnoughParticipantsError, ParameterError
from secagg.graph import Graph
from secagg.messages import (
    Cohort,
    Consistency,
    EncapsulationList,
    Join,
    Listing,
    Manifest,
    Open,
    PrekeyList,
    Prekeys,
    ProtocolMessage,
    Quorum,
    Ready,
    Receipt,
    Unmask,
)
from secagg.params import Profile
from secagg.protocol.listing import Shown
from secagg.protocol.step import Ask, Close
from tests.support.playbook import LISTS, QUERY, ROUND_DEADLINE, SCHEMA, Parcel, Play, at, offered

N = 9
WITH_LANES = replace(SCHEMA, ring_bits=12)
NO_LANES = replace(SCHEMA, mac_lanes=0, ring_bits=12)
TERMS = {"degree": 6, "threshold": 5, "colluders": 2, "survivors": 6}
PARTIAL = tuple(kind for kind in LISTS if kind is not Quorum)


def sparse(kind: type[ProtocolMessage], **terms) -> Play:
    return at(kind, **{"n": N, "schema": NO_LANES, **TERMS, **terms})


def neighbours(play: Play, site: int = 1) -> tuple[int, ...]:
    """Return a site's neighbours, none before the graph is drawn."""
    state = play.state(0)
    graph = getattr(getattr(state, "idle", state), "graph", None)
    return graph.neighbours[site] if graph else ()


def strangers(play: Play, site: int = 1) -> list[int]:
    return sorted(set(range(1, N + 1)) - {site, *neighbours(play, site)})


def shown(play: Play, kind: type[ProtocolMessage]) -> Listing:
    return getattr(play.message(kind), LISTS[kind])


def showing(play: Play, kind: type[ProtocolMessage], **changes) -> Parcel:
    """Return the list for site 1 with another part of it, or other siblings."""
    return play.forge(kind, **{LISTS[kind]: replace(shown(play, kind), **changes)})


def by_sender(frames: Collection[Frame]) -> tuple[Frame, ...]:
    return tuple(sorted(frames, key=lambda frame: frame.sender))


def refused(play: Play, kind: type[ProtocolMessage], **changes) -> None:
    play.refuses(1, showing(play, kind, **changes), FaultyCoordinatorError, "V-0207")


# What a site is shown ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PARTIAL)
def test_V_0207_siblings_that_do_not_fit(kind):
    play = sparse(kind)
    siblings = shown(play, kind).siblings
    refused(play, kind, siblings=siblings[1:])
    refused(play, kind, siblings=(*siblings, bytes(32)))
    refused(play, kind, siblings=())


@pytest.mark.parametrize("kind", PARTIAL[1:])
def test_V_0207_a_neighbour_that_is_not_shown(kind):
    play = sparse(kind)
    frames = shown(play, kind).frames
    assert [frame.sender for frame in frames] == sorted((1, *neighbours(play)))
    refused(play, kind, frames=frames[:-1])


@pytest.mark.parametrize("kind", PARTIAL)
def test_V_0207_a_stranger_that_is_shown(kind):
    play = sparse(kind)
    frames = shown(play, kind).frames
    stranger = strangers(play)[0]
    extra = next(f for f in play.listed(kind, to=stranger) if f.sender == stranger)
    refused(play, kind, frames=by_sender((*frames, extra)))


@pytest.mark.parametrize("kind", PARTIAL)
def test_V_0207_a_part_of_a_list_on_the_complete_graph(kind):
    play = at(kind, n=4)
    frames = play.listed(kind)
    refused(play, kind, frames=frames[:-1])
    refused(play, kind, senders=(*shown(play, kind).senders, 5))
    refused(play, kind, siblings=(bytes(32),))


def test_a_list_of_which_others_are_shown_something_else_parts_the_transcripts():
    """Another sibling is another root: no honest neighbour goes on with a site that was shown another list."""
    play = sparse(EncapsulationList)
    siblings = shown(play, EncapsulationList).siblings
    forged = showing(play, EncapsulationList, siblings=(bytes(32), *siblings[1:]))
    (answer,) = play.parties[1].copy().receive(forged)
    play.refuses(0, Parcel(answer.frame, answer.payload), FaultyParticipantError, "V-0203", blames=1)


# The manifest ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "terms",
    [
        {"threshold": 4},  # 2t = k + c
        {"threshold": 7, "survivors": 7},
        {"degree": 5},
        {"degree": 1},
        {"degree": 8},  # the complete graph, by another name
        {"degree": 16_384},
        {"colluders": 3},
        {"survivors": 5},  # six corrupt and lost ones are all neighbours of a site
    ],
)
def test_V_0314_graphs_that_are_not_private(terms):
    play = sparse(Manifest)
    play.refuses(1, offered(play, **terms), FaultyCoordinatorError, "V-0314")


@pytest.mark.parametrize(
    ("joined", "terms"),
    [
        (7, {}),  # six neighbours each: the complete graph, by another name
        (6, {}),  # more neighbours than there are sites
    ],
)
def test_V_0314_too_few_sites_joined(joined, terms):
    """Pitfall 13: who leaves honest sites out before the graph is drawn gives the others more corrupt neighbours."""
    play = sparse(Cohort, **terms)
    frames = {site: play.frame(Join, site) for site in range(1, joined + 1)}
    few = Shown(frames).to(1, Graph(neighbours={1: ()}))
    play.refuses(1, play.forge(Cohort, joins=few), FaultyCoordinatorError, "V-0314")


def test_the_coordinator_draws_no_graph_over_too_few_sites():
    play = sparse(Join)
    for site in range(1, 8):
        play.parties[0].receive(play.parcel(Join, site))
    play.denies(0, Close(), NotEnoughParticipantsError)
    play.parties[0].receive(play.parcel(Join, 8))
    play.parties[0].tell(Close())


def test_V_0315_a_run_of_too_many_graphs():
    play = sparse(Manifest)
    play.refuses(1, offered(play, epoch=1025), FaultyCoordinatorError, "V-0315")
    play.parties[1].receive(offered(play, epoch=1024))
    complete = at(Manifest)
    complete.parties[1].receive(offered(complete, epoch=1025))


# The seed ----------------------------------------------------------------------------------------------------------


def test_V_0407_a_hash_of_other_commitments():
    play = at(Cohort, n=4)
    play.refuses(1, play.forge(Cohort, nonces=bytes(32)), FaultyCoordinatorError, "V-0407")


@pytest.mark.parametrize(
    "change",
    [
        lambda nonces: bytes(32) + nonces[32:],
        lambda nonces: nonces[:-32] + bytes(32),
        lambda nonces: nonces[32:64] + nonces[:32] + nonces[64:],
        lambda nonces: nonces[:-32],
        lambda nonces: nonces[:-1],
        lambda nonces: nonces + bytes(32),
        lambda nonces: b"",
    ],
)
def test_V_0407_nonces_that_were_not_committed_to(change):
    """Pitfall 13: the seed is fixed when everybody has committed, so that nobody chooses a graph."""
    play = sparse(PrekeyList)
    nonces = play.parcel(PrekeyList).payload
    play.refuses(1, play.forge(PrekeyList, payload=change(nonces)), FaultyCoordinatorError, "V-0407")


def test_V_0407_a_nonce_that_is_left_out():
    """Who may leave nonces out after it has seen them chooses among many graphs."""
    play = sparse(PrekeyList)
    nonces, listing = play.parcel(PrekeyList).payload, shown(play, PrekeyList)
    fewer = replace(listing, senders=listing.senders[:-1])
    for payload in (nonces, nonces[:-32]):
        forged = play.forge(PrekeyList, payload=payload, prekeys=fewer)
        play.refuses(1, forged, FaultyCoordinatorError, "V-0407")


def test_V_0406_prekeys_with_another_nonce_than_the_graphs():
    play = sparse(PrekeyList)
    listing = shown(play, PrekeyList)
    other = listing.frames[1].sender
    forged = play.forge(Prekeys, other, nonce=bytes(32)).frame
    frames = (listing.frames[0], forged, *listing.frames[2:])
    play.refuses(1, showing(play, PrekeyList, frames=frames), FaultyCoordinatorError, "V-0406")


def test_the_epoch_ends_where_a_nonce_is_missing():
    play = sparse(Prekeys)
    for site in range(1, N):
        play.parties[0].receive(play.parcel(Prekeys, site))
    play.denies(0, Close(), NotEnoughParticipantsError)


# Neighbours alone --------------------------------------------------------------------------------------------------


def test_V_0609_a_receipt_about_strangers():
    play = sparse(Receipt)
    accepted = play.message(Receipt, 1).accepted
    assert accepted == neighbours(play)
    for wrong in (accepted[1:], tuple(sorted((*accepted, strangers(play)[0])))):
        play.refuses(0, play.forge(Receipt, 1, accepted=wrong), FaultyParticipantError, "V-0609", blames=1)


def test_V_0414_neighbours_that_refused_each_other():
    play = sparse(Ready)
    listing = shown(play, Ready)
    site = listing.frames[-1].sender
    other = neighbours(play, site)[1]
    accepted = tuple(v for v in neighbours(play, site) if v != other)
    forged = play.forge(Receipt, site, accepted=accepted, refused={other: 409}).frame
    parcel = showing(play, Ready, frames=(*listing.frames[:-1], forged))
    play.refuses(1, parcel, FaultyCoordinatorError, "V-0414")


def test_V_0515_lanes_on_a_sparse_graph():
    play = sparse(Open)
    play.refuses(1, play.forge(Open, schema=WITH_LANES), FaultyCoordinatorError, "V-0515")


def test_the_coordinator_asks_for_no_lanes():
    play = sparse(Ready)
    play.denies(0, Ask(QUERY, WITH_LANES, ROUND_DEADLINE), ParameterError)


@pytest.mark.parametrize("profile", Profile)
def test_V_0512_a_quorum_of_strangers(profile):
    """Pitfall 32: strangers' signatures tell a site nothing about who holds its secrets, nor does its own."""
    play = sparse(Quorum, profile=profile)
    signatures = {site: play.frame(Consistency, site) for site in range(1, N + 1)}
    near = neighbours(play)
    few = by_sender([signatures[site] for site in (1, *near[:4], *strangers(play))])
    assert len(few) > TERMS["threshold"]
    play.refuses(1, play.forge_list(Quorum, few), FaultyCoordinatorError, "V-0512")
    play.parties[1].receive(play.forge_list(Quorum, by_sender([signatures[site] for site in near[:5]])))


def test_V_0706_answers_for_strangers():
    play = sparse(Unmask)
    shares = play.message(Unmask, 1).shares
    assert tuple(shares) == neighbours(play)
    fewer = dict(list(shares.items())[1:])
    for wrong in (fewer, {**shares, 1: bytes(32)}, {**shares, strangers(play)[0]: bytes(32)}):
        play.refuses(0, play.forge(Unmask, 1, shares=wrong), FaultyParticipantError, "V-0706", blames=1)


def test_too_few_answers_for_one_site():
    """Two neighbours of a site are silent: the others could answer for themselves, but not for it."""
    play = sparse(Unmask)
    for site in set(range(1, N + 1)) - set(neighbours(play)[:2]):
        play.parties[0].receive(play.parcel(Unmask, site))
    play.denies(0, Close(), NotEnoughParticipantsError)
