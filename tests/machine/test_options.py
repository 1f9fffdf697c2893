"""Rounds whose vectors are rotated, rounded at random, or weighted: all sites and the coordinator learn one sum."""

import numpy as np
import pytest

from secagg.envelope import COORDINATOR
from secagg.messages import Open, Result
from secagg.params import Rounding, Schema, Segment, mac_lanes_for
from secagg.protocol.step import Learned
from tests.support.playbook import Play

STEP = 2.0**-8


def played(rounding: Rounding, rotation: int, seed: int = 1) -> tuple[Play, list[Learned]]:
    """Play a round of four, of which one is lost, to its end; return what everyone learned, the coordinator first."""
    options = {"rounding": rounding, "rotation": rotation}
    segments = (Segment(count=21, clip=64.0, step=STEP, **options), Segment(count=2, clip=4.0, step=STEP))
    schema = Schema(ring_bits=20, mac_lanes=mac_lanes_for(20), segments=segments)
    play = Play(4, schema=schema, seed=seed)
    play.vectors = {site: np.cos(np.arange(23) * site) for site in range(1, 5)}
    play.until(Open).present.discard(3)
    play.until(Result)
    for site in (1, 2, 4):
        play.parties[site].receive(play.parcel(Result, to=site))
    parties = (play.parties[index] for index in (COORDINATOR, 1, 2, 4))
    return play, [next(one for one in party.effects if isinstance(one, Learned)) for party in parties]


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("rotation", [0, 1, 4, 16])
def test_everyone_learns_one_sum(rounding, rotation):
    play, learned = played(rounding, rotation)
    assert {one.survivors for one in learned} == {(1, 2, 4)}
    assert len({np.asarray(one.total).tobytes() for one in learned}) == 1
    error = np.asarray(learned[0].total) - sum(play.vectors[site] for site in (1, 2, 4))
    assert np.linalg.norm(error[:21]) <= 3 * STEP * np.sqrt(21)
    assert np.abs(error[21:]).max() <= 3 * STEP / 2


def test_coins_are_of_the_step_and_signs_of_the_round():
    """Two cohorts with other randomness round otherwise, and both are right."""
    totals = [np.asarray(played(Rounding.STOCHASTIC, 4, seed)[1][0].total) for seed in (1, 2)]
    assert not np.array_equal(*totals)
