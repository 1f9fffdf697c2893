"""Attacks by sets of sites: sums of the same numbers over different sets, solved for one hospital.

A coordinator asks for any sets of survivors that an epoch admits, in any order, and an honest site signs those that its
rules allow (`too_near`, `set_apart`). Colluders subtract themselves. The gain is the number of hospitals whose sum the
linear equations determine, for the worst choice of colluders.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from random import Random  # noqa: TID251 - orders in which a coordinator asks
from uuid import UUID

import numpy as np
import pytest

from participant.policy.differencing import SignedSet, set_apart, too_near

RUN = UUID(int=1)


def tolerated(sites: int) -> int:
    return -(-sites // 3) - 1


def admitted(sites: int) -> Iterator[frozenset[bytes]]:
    """Yield the sets of survivors that an epoch of all sites admits under the malicious profile."""
    keys = [bytes([number]) * 32 for number in range(sites)]
    least = max((sites + tolerated(sites)) // 2 + 1, tolerated(sites) + 2)
    for size in range(least, sites + 1):
        yield from map(frozenset, combinations(keys, size))


Rule = Callable[[frozenset[bytes], list[SignedSet], int], bool]


def anything(_keys: frozenset[bytes], held: list[SignedSet], _least: int) -> bool:
    return len(held) < 40


def far_from_each(keys: frozenset[bytes], held: list[SignedSet], least: int) -> bool:
    return not too_near(keys, held, least)


def both_rules(keys: frozenset[bytes], held: list[SignedSet], least: int) -> bool:
    return far_from_each(keys, held, least) and not set_apart(keys, held, least)


def signed(sites: int, rule: Rule, seed: int) -> list[frozenset[bytes]]:
    """Return the sets that a site signs if it is asked for all, in some order."""
    asked, held = sorted(admitted(sites), key=sorted), []
    Random(seed).shuffle(asked)
    for one in asked:
        if rule(one, held, tolerated(sites) + 2):
            held.append(SignedSet(one, RUN, retired=False))
    return [one.keys for one in held]


def determined(sets: list[frozenset[bytes]], sites: int, colluders: tuple[int, ...]) -> int:
    """Return the number of honest sites whose own numbers follow from the sums."""
    honest = [number for number in range(sites) if number not in colluders]
    sums = np.array([[bytes([number]) * 32 in one for number in honest] for one in sets], np.float64)
    rank = np.linalg.matrix_rank(sums)
    alone = np.eye(len(honest))
    return sum(np.linalg.matrix_rank(np.vstack([sums, one])) == rank for one in alone)


def most_determined(sites: int, rule: Rule) -> int:
    colluders = list(combinations(range(sites), tolerated(sites)))[:30]
    return max(determined(signed(sites, rule, seed), sites, bad) for seed in range(8) for bad in colluders)


@pytest.mark.parametrize("sites", [4, 6, 7, 9, 10])
def test_sums_over_different_sets_are_solved_for_one_hospital(sites: int) -> None:
    assert most_determined(sites, anything) > 0, "it works without a rule"
    assert most_determined(sites, both_rules) == 0


def test_sets_that_are_far_from_each_other_are_not_enough() -> None:
    """Why there is a second rule: three sums over four of six hospitals, and one colluder."""
    assert most_determined(6, far_from_each) > 0


def test_a_set_that_stands_may_recur_and_large_parts_may_come_apart() -> None:
    everybody, half = (frozenset(bytes([n]) * 32 for n in range(count)) for count in (12, 6))
    held = [SignedSet(everybody, RUN, retired=False)]
    assert set_apart(everybody, held, 4) == 0
    assert set_apart(half, held, 4) == 0
    assert set_apart(half, [*held, SignedSet(half, RUN, retired=False)], 4) == 0
    assert set_apart(half, [*held, SignedSet(frozenset(sorted(half)[:4]), RUN, retired=False)], 4) == 2
    assert set_apart(half, [], 7) == 0
    assert set_apart(everybody, [SignedSet(half, RUN, retired=False)], 7) == 6
