"""A whole cohort on a sparse graph: dealers, holders, and answers that never reveal both secrets of a site."""

from dataclasses import replace

import numpy as np
import pytest

from secagg.keys import unseal
from secagg.messages import (
    EncapsulationList,
    Manifest,
    Open,
    PrekeyList,
    Ready,
    Result,
    ShareList,
    SharePackage,
    Shares,
    Survivors,
    Unmask,
)
from secagg.params import Profile
from secagg.protocol import participant_round as pr
from secagg.protocol import participant_setup as ps
from secagg.protocol.step import Learned
from secagg.protocol.table import decode_state, encode_state
from tests.support.playbook import SCHEMA, Play, at

N = 9
TERMS = {"degree": 6, "threshold": 5, "colluders": 2, "survivors": 6}


@pytest.fixture(scope="module", params=Profile, ids=lambda one: one.name)
def play(request) -> Play:
    """Two rounds: all upload; then site 4 is lost before its upload, and its vault is opened."""
    schema = replace(SCHEMA, mac_lanes=0, ring_bits=12)
    play = at(Manifest, n=N, rounds=2, profile=request.param, schema=schema, **TERMS)
    play.until(Result).until(Open).present.discard(4)
    return play.until(Result)


def neighbours(play: Play, site: int) -> tuple[int, ...]:
    return play.state(0).graph.neighbours[site]


def test_sums(play):
    learned = [effect for effect in play.parties[0].effects if isinstance(effect, Learned)]
    assert [one.survivors for one in learned] == [tuple(range(1, N + 1)), (1, 2, 3, 5, 6, 7, 8, 9)]
    for one in learned:
        assert (
            np.asarray(one.total).tolist() == sum(np.clip(play.vectors[site], -8, 8) for site in one.survivors).tolist()
        )


def test_everybody_drew_the_same_graph(play):
    graph = play.state(0).graph.neighbours
    assert all(len(others) == TERMS["degree"] for others in graph.values())
    for site in range(1, N + 1):
        own = next(
            state for state in play.parties[site].past if isinstance(state, pr.AwaitOpen)
        ).membership.graph.neighbours
        assert own == {other: graph[other] for other in sorted((site, *graph[site]))}


def test_shares_are_for_neighbours_alone(play):
    for parcel in play.mail[Shares]:
        package = SharePackage.decode(parcel.payload)
        assert tuple(package.slots) == neighbours(play, parcel.frame.sender)


def test_answers_are_for_neighbours_and_one_share_of_each(play):
    """Pitfalls 2 and 32: never the shares of both secrets of one site, never for a stranger or for itself."""
    for site in set(range(1, N + 1)) - {4}:
        answering = [state for state in play.parties[site].past if isinstance(state, pr.AwaitQuorum)][-1]
        row = answering.current.row
        frame = play.frame(Unmask, site)
        shares = Unmask.decode(unseal(answering.current.answer_key, frame.body, frame.header())).shares
        assert tuple(shares) == neighbours(play, site)
        for dealer, share in shares.items():
            assert share == (row[dealer][32:] if dealer == 4 else row[dealer][:32])


def test_states_are_what_they_are_encoded_as(play):
    for party in play.parties.values():
        for state in (*party.past, party.state):
            assert decode_state(encode_state(state)) == state


def test_no_frame_of_a_stranger_reaches_a_site(play):
    for site in set(range(1, N + 1)) - {4}:
        near = {site, *neighbours(play, site)}
        for kind in (PrekeyList, EncapsulationList, ShareList, Ready, Survivors):
            seen = {frame.sender for frame in play.listed(kind, to=site)}
            assert seen == near - ({4} if kind is Survivors else set())


def test_before_the_graph_is_drawn_a_site_sees_itself(play):
    waiting = next(state for state in play.parties[1].past if isinstance(state, ps.AwaitPrekeyList))
    assert waiting.membership.graph.neighbours == {1: ()}
    assert set(waiting.nonce_commitments) == {1}
