"""The joint view of coordinator, relay and a colluding site depends on the honest vectors only through their sum.

Runs whole rounds of the state machines over a tiny ring. The adversary removes from each honest upload all masks that
it knows: those that the answers opened, and those that its site shares. The remainder (entries and check lanes, with
the lanes' own key) determines a cell. For two inputs with the same honest sum, the counts of all cells must come from
one distribution: chi-square of two samples, with one false alarm in 10^7 comparisons. The same comparison must
distinguish inputs whose sums differ, and rounds without one kind of mask.

Keys and randomness come from the printed seeds; only the encapsulations are drawn by the library.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any

import numpy as np
from scipy.stats import chi2

from secagg import mac
from secagg.masks import Mask
from secagg.messages import Open, Upload
from secagg.params import Schema, Segment, mac_lanes_for
from secagg.protocol.participant_round import AwaitVector
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import Ask, Close, Confirm, Contribute
from tests.support.playbook import QUERY, ROUND_DEADLINE, Play

FALSE_ALARM = 1e-7
ROUNDS = 100  # of an epoch
BITS = {3: 3, 4: 4}  # least ring for so many sites with values -1, 0, 1

Vectors = Mapping[int, float]
Weaken = Callable[[int, tuple[Mask, ...]], tuple[Mask, ...]]
Cell = tuple[int, ...]


def epochs(n: int, seed: int) -> Iterator[Play]:
    """Return cohorts without end, each in an epoch of its own."""
    schema = Schema(
        ring_bits=BITS[n], mac_lanes=mac_lanes_for(BITS[n]), segments=(Segment(count=1, clip=1.0, step=1.0),)
    )
    for number in count(seed):
        play = Play(n=n, rounds=ROUNDS + 1, seed=number, schema=schema).until(Open)
        play.parties[0].state = play.state(0).idle  # round 1 is given up
        yield play


def run_round(play: Play, vectors: Vectors, *, late: int = 0, weaken: Weaken = lambda _site, masks: masks) -> None:
    """Run a round up to the masks; the coordinator has a late upload as well, and denies it."""
    coordinator, uploads = play.parties[0], {}
    for parcel in coordinator.tell(Ask(QUERY, play.schema, ROUND_DEADLINE)):
        site = play.parties[parcel.frame.recipient]
        site.receive(parcel)
        site.state = replace(site.state, masks=weaken(site.index, site.state.masks))
        (uploads[site.index],) = site.tell(Contribute([vectors[site.index]]))
    play.mail[Upload] = list(uploads.values())
    survivors = [play.parties[site] for site in uploads if site != late]
    for site in survivors:
        coordinator.receive(uploads[site.index])
    (proposed,) = coordinator.tell(Close())
    for site in survivors:
        site.receive(proposed)
        coordinator.receive(*site.tell(Confirm()))
    (quorum,) = coordinator.tell(Close())
    for site in survivors:
        coordinator.receive(*site.receive(quorum))
    coordinator.tell(Close())


def cell(play: Play, colluder: int) -> Cell:
    """Return what is left of the honest uploads without all masks that coordinator and colluder know."""
    current, membership = play.state(0).current, play.parties[colluder].was(AwaitVector).membership
    known = {mask.key for mask in (*play.state(0).masks, *play.parties[colluder].was(AwaitVector).masks)}
    left: list[RingVector] = []
    for site in current.roster:
        if site != colluder:
            left.append(play.masked(site))
            left[-1].mask(
                [mask for mask in play.parties[site].was(AwaitVector).masks if mask.key in known], remove=True
            )
    mac_key = play.parties[colluder].was(AwaitVector).idle.mac_key
    place = {"round_": current.round, "context": current.context, "epoch": membership.epoch}
    (rho,) = mac.lanes(mac_key, np.ones(1, np.int64), 1, **place)
    lanes = []  # without the sites' marks, which the colluder knows
    for one, site in zip(left, (site for site in current.roster if site != colluder), strict=True):
        (mark,) = mac.lanes(mac_key, np.ones(1, np.int64), 1, start=play.schema.length + site - 1, **place)
        lanes.append(int(one.lanes[0]) - mark & 1)
    return (*(int(one.values()[0]) for one in left), *lanes, rho & 1)


def samples(inputs: Sequence[Vectors], size: int, seed: int, **how: Any) -> list[Counter[Cell]]:
    """Return the counts of cells for each input, round by round in turn, over as many epochs as that takes."""
    counts: list[Counter[Cell]] = [Counter() for _ in inputs]
    print("seeds from", seed)
    rounds = ((play, number) for play in epochs(len(inputs[0]), seed) for number in range(ROUNDS))
    for play, number in islice(rounds, size * len(inputs)):
        which = number % len(inputs)
        run_round(play, inputs[which], **how)
        counts[which][cell(play, colluder=len(inputs[0]))] += 1
        start_again(play)
    return counts


def start_again(play: Play) -> None:
    """Let every site take part in the next round, as in an epoch in which nobody was lost, and forget what was."""
    for party in play.parties.values():
        party.state = replace(party.state.idle, survivors=tuple(play.present))
        for record in (party.past, party.taken, party.effects):
            record.clear()


def tells_apart(first: Counter[Cell], second: Counter[Cell]) -> bool:
    """Say whether two samples of one size are of two distributions."""
    cells = set(first) | set(second)
    distance = sum((first[one] - second[one]) ** 2 / (first[one] + second[one]) for one in cells)
    bound = chi2.isf(FALSE_ALARM, len(cells) - 1)
    print(f"{len(cells)} cells, {first.total()} and {second.total()} rounds: {distance:.1f}, bound {bound:.1f}")
    return bool(distance > bound)


def without_edges(site: int, masks: tuple[Mask, ...]) -> tuple[Mask, ...]:
    """Leave out the pair mask of sites 1 and 2, which are next to the self-mask at both."""
    return masks[:1] + masks[2:] if site in {1, 2} else masks


def without_self_mask(_site: int, masks: tuple[Mask, ...]) -> tuple[Mask, ...]:
    return masks[1:]


ONE, OTHER, MORE = {1: 1, 2: 0, 3: 1}, {1: 0, 2: 1, 3: 1}, {1: 1, 2: 1, 3: 1}
"""Honest vectors of sites 1 to 3, of which site 3 colludes: ONE and OTHER have the same honest sum, MORE has not."""
LATE_ONE, LATE_OTHER = {1: 1, 2: 0, 3: 1, 4: 0}, {1: 0, 2: 1, 3: -1, 4: 0}
"""Of sites 1 to 4: site 4 colludes, site 3 is late, and the two others have the same sum."""
SIZE = 700  # rounds of each input


def test_views_of_vectors_with_one_honest_sum_are_equally_distributed() -> None:
    assert not tells_apart(*samples([ONE, OTHER], SIZE, seed=1_000))


def test_views_of_other_sums_are_told_apart() -> None:
    """The comparison sees what the adversary may learn."""
    assert tells_apart(*samples([ONE, MORE], 100, seed=2_000))


def test_without_pair_masks_vectors_of_survivors_are_told_apart() -> None:
    assert tells_apart(*samples([ONE, OTHER], 100, seed=3_000, weaken=without_edges))


def test_a_late_upload_says_nothing() -> None:
    """Pitfall 1, recipe 12: the coordinator holds the upload of site 3, denies it, and has its pair masks opened."""
    assert not tells_apart(*samples([LATE_ONE, LATE_OTHER], SIZE, seed=4_000, late=3))


def test_without_self_masks_a_late_upload_is_told_apart() -> None:
    # About a hundred cells: with fewer rounds, views without a cell in common would not be enough of a difference.
    assert tells_apart(*samples([LATE_ONE, LATE_OTHER], 200, seed=5_000, late=3, weaken=without_self_mask))
