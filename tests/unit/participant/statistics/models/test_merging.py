"""Merged intervals: each count is 0 or at least the floor, and no smaller one follows from what is shown."""

from collections import defaultdict
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from participant.statistics.models.merging import at_ends, ends, hidden_groups


def shown(counts: np.ndarray, floor: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ends of one group's intervals, and their counts."""
    where = np.flatnonzero(ends(counts[np.newaxis], floor))
    return tuple(where.tolist()), tuple(np.diff(np.cumsum(counts)[where], prepend=0).tolist())


@pytest.mark.parametrize(("floor", "times", "most"), [(3, 4, 7), (3, 5, 5), (4, 4, 8), (3, 7, 3)])
def test_no_union_of_intervals_is_proven_to_hold_a_particular_small_number(floor, times, most):
    """All grids of so many times: those that show the same differ in every small union of neighbours."""
    alike = defaultdict(list)
    for counts in product(range(most + 1), repeat=times):
        if sum(counts) == 0 or sum(counts) >= floor:
            alike[shown(np.array(counts), floor)].append(np.pad(np.cumsum(counts), (1, 0)))
    assert len(alike) > 900
    for (_, counts), found in alike.items():
        if max(counts, default=0) > most:  # more grids than those of this search show it
            continue
        cumulative = np.array(found)
        for first, last in combinations(range(times + 1), 2):
            union = cumulative[:, last] - cumulative[:, first]
            assert len(set(union.tolist())) > 1 or not 0 < union[0] < floor, found


@given(
    st.integers(1, 4).flatmap(
        lambda groups: st.lists(st.lists(st.integers(0, 9), min_size=groups, max_size=groups), min_size=1)
    ),
    st.integers(1, 6),
)
def test_every_interval_is_permitted_and_no_row_is_lost(rows, floor):
    counts = np.array(rows, np.int64).reshape(len(rows), -1).T
    groups = hidden_groups(counts.sum(axis=1), np.zeros(len(counts), np.int64), floor)
    kept = counts[~groups]
    if not kept.size:
        return
    cumulative = np.where(ends(kept, floor), np.cumsum(kept, axis=1), np.nan)
    merged = at_ends(cumulative)
    assert ((merged == 0) | (merged >= floor)).all()
    assert merged.sum(axis=1).tolist() == kept.sum(axis=1).tolist()
    together = counts[groups].sum()
    assert together == 0 or together >= floor or groups[counts.any(axis=1)].all()


def test_events_and_censored_rows_of_hidden_groups_are_permitted_together():
    events, censored = np.array([40, 3, 6, 0]), np.array([50, 9, 7, 0])
    assert hidden_groups(events, censored, 5).tolist() == [False, True, True, False]
    assert hidden_groups(np.array([40, 6]), np.array([0, 9]), 5).tolist() == [False, False]


def test_what_is_left_at_the_end_joins_the_intervals_before():
    assert np.flatnonzero(ends(np.array([[5, 0, 5, 2, 0]]), 5)).tolist() == [0, 3]
    assert np.flatnonzero(ends(np.array([[5, 0, 0, 5], [5, 1, 0, 0]]), 5)).tolist() == [3]
    assert not ends(np.zeros((2, 3), np.int64), 5).any()
