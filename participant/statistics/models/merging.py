"""Merging neighbouring intervals whose counts are small, over all sites: of a grid of times, or of predicted risk.

An interval shows how many rows have their event in it, and how many are censored. Each of these counts is a cell: 0, or
at least the floor f, in every group of rows. Events and censored rows are merged apart: walking along the grid, an
interval ends as soon as the rule holds for all groups, and what is left at the end of the grid joins the intervals
before it. A row's time is then the end of its interval, among those for its kind: the merged data are data as well,
with fewer different times, and every method for the others holds for them.

A group with 1 to f - 1 events, or as many censored rows, in all has no such intervals. It is hidden as a whole, with
the smallest other groups until the hidden ones together have a permitted number of both.

For f >= 3, the merged counts and the ends prove of no union of neighbouring intervals that it holds a particular number
of 1 to f - 1 rows; the tests search all short grids for a counterexample.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from participant.statistics.language.layout import Array

Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]


def are_shown(counts: Any, floor: int) -> NDArray[np.bool_]:
    """Return whether counts may be shown, elementwise."""
    return np.asarray((counts == 0) | (counts >= floor))


def hidden_groups(events: Counts, censored: Counts, floor: int) -> Mask:
    """Return which groups to hide, (groups,) bool.

    Args:
        events, censored: (groups,) numbers of rows with an event, and of censored ones.
        floor: least number of rows to show.
    """
    hidden: Mask = ~(are_shown(events, floor) & are_shown(censored, floor))
    sizes = events + censored
    for group in np.argsort(sizes, kind="stable")[np.count_nonzero(sizes == 0) :]:
        if are_shown(events[hidden].sum(), floor) and are_shown(censored[hidden].sum(), floor):
            break
        hidden[group] = True
    return hidden


def ends(counts: Counts, floor: int) -> Mask:
    """Return which grid times end a merged interval, (times,) bool.

    Args:
        counts: (groups, times) rows of one kind, in groups that are shown.
        floor: least number of rows to show.
    """
    times = np.flatnonzero(counts.any(axis=0))
    found: list[tuple[int, Counts]] = []
    left = np.zeros(len(counts), np.int64)
    for time in times:
        left = left + counts[:, time]
        if are_shown(left, floor).all():
            found.append((int(time), left))
            left = np.zeros_like(left)
    if left.any():
        while not are_shown(left, floor).all():
            left = left + found.pop()[1]
        found.append((int(times[-1]), left))
    mask = np.zeros(counts.shape[1], np.bool_)
    mask[[time for time, _ in found]] = True
    return mask


def at_ends(cumulative: Array) -> Array:
    """Return the counts or sums of merged intervals at their ends, and zeros elsewhere.

    Args:
        cumulative: (..., groups, places) what lies in or before each place, NaN where it is hidden.
    """
    where = ~np.isnan(cumulative).all(axis=tuple(range(cumulative.ndim - 1)))
    found = np.zeros(cumulative.shape)
    found[..., where] = np.diff(np.nan_to_num(cumulative[..., where]), axis=-1, prepend=0.0)
    return found
