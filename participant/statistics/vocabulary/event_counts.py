"""Event counts on the agreed grid, for Kaplan-Meier and log-rank.

Counted over the complete rows, for time 0 and the grid times k = 1 ... K (see `outcome`), and in each cell of the
grouping categories (groups, strata, or none). A category with L levels has L + 1 cells; the extra one holds the rows
with any other code.

    events  = d_k, number of events at k                        (L_1 + 1, ..., K + 1)
    at_risk = n_k, number of rows whose time is k or later      (L_1 + 1, ..., K + 1)
    outside = rows with a negative time; rows with an event code other than 0 and 1      (2,)

A row that is censored at k is at risk at k, as usual. Every site counts at every grid time, even at one without an
event of its own. Units: rows. Exact.

With pooled floors the sites open cumulative counts and publish them only at the ends of merged intervals (`merging`),
of events and of censored rows, from which the analysis has the counts on the merged grid.

Sources: Kaplan, Meier 1958, J Am Stat Assoc 53:457, section 2; Mantel 1966, Cancer Chemother Rep 50:163, for log-rank.
"""

from math import prod
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from participant.statistics.language.disclosure import Disclosure, Group, Reveals
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.statistic import Columns, Params, Statistic
from participant.statistics.language.support import Support
from participant.statistics.models.cells import MAX_CELLS, Categories, cell_of, cells_of
from participant.statistics.models.merging import at_ends, ends, hidden_groups
from participant.statistics.models.outcome import Outcome

EVENT_ENDS, CENSORED_ENDS = "event_ends", "censored_ends"
"""Names of the arrays that say for each grid time whether a merged interval ends there; only in pooled sums."""
_CUMULATIVE = ("ended", "left")


class EventCountsParams(Params):
    """Parameters: the `outcome` with time and event columns and a grid of K times, and the grouping categories `by`."""

    outcome: Outcome
    by: Categories

    @model_validator(mode="after")
    def _check(self) -> Self:
        if prod(self.cells) > MAX_CELLS:
            raise ValueError(
                f"groups and grid times form more than {MAX_CELLS} cells; use a coarser grid or fewer groups"
            )
        return self

    @property
    def cells(self) -> tuple[int, ...]:
        return (*cells_of(self.by), self.outcome.grid.count + 1)


class _Leaving(NamedTuple):
    """The rows that leave at each grid time, (L_1 + 1, ..., K + 1) each, the last slot for those beyond the grid.

    Attributes:
        events: those with an event.
        others: those that are censored.
        outside: invalid values, as in `outcome`.
    """

    events: NDArray[np.int64]
    others: NDArray[np.int64]
    outside: Array


def _leaving(params: EventCountsParams, columns: Columns) -> _Leaving:
    grid_time, event, outside = params.outcome.observe(columns)
    slots = params.outcome.grid.count + 2
    shape = (*cells_of(params.by), slots)
    slot = cell_of(params.by, columns) * slots + grid_time
    events, others = (
        np.bincount(slot[some], minlength=prod(shape)).reshape(shape).astype(np.int64) for some in (event, ~event)
    )
    return _Leaving(events, others, outside)


class EventCounts(Statistic[EventCountsParams]):
    """Event counts; the module's docstring describes the blocks."""

    name = "event-counts"
    version = 3
    Params = EventCountsParams

    def columns(self, params: EventCountsParams) -> tuple[str, ...]:
        by = (category.column for category in params.by)
        return tuple(dict.fromkeys((params.outcome.time, params.outcome.event, *by)))

    def layout(self, params: EventCountsParams) -> Layout:
        limit = float(params.row_limit)
        return Layout(
            (
                Block("events", params.cells, limit, exact=True),
                Block("at_risk", params.cells, limit, exact=True),
                Block("outside", (2,), limit, exact=True, few="rounded"),
            )
        )

    def compute(self, params: EventCountsParams, columns: Columns) -> Arrays:
        events, others, outside = _leaving(params, columns)
        leaving = events + others
        return {
            "events": events[..., :-1].astype(np.float64),
            "at_risk": np.cumsum(leaving[..., ::-1], axis=-1)[..., ::-1][..., :-1].astype(np.float64),
            "outside": outside,
        }

    def support(self, params: EventCountsParams, columns: Columns) -> Support:
        """Return the rows with an event and those censored at each grid time: at_risk at two times and the events in
        between show both.
        """
        events, others, _ = _leaving(params, columns)
        return Support.none()._replace(persons=np.concatenate([events.ravel(), others.ravel()]).astype(np.float64))

    def pooled_layout(self, params: EventCountsParams) -> Layout:
        """Return the layout of what the sites open: rows with an event up to each grid time (`ended`), and rows that
        were censored (`left`); those beyond the grid at its last time.
        """
        limit = float(params.row_limit)
        return Layout(
            (
                Block("ended", params.cells, limit, exact=True),
                Block("left", params.cells, limit, exact=True),
                Block("outside", (2,), limit, exact=True, few="rounded"),
            )
        )

    def pooled_total(self, params: EventCountsParams, columns: Columns) -> Arrays:
        events, others, outside = _leaving(params, columns)
        others[..., -2] += others[..., -1]
        ended, left = (np.cumsum(some[..., :-1], axis=-1).astype(np.float64) for some in (events, others))
        return {"ended": ended, "left": left, "outside": outside}

    def pooled_support(self, params: EventCountsParams, columns: Columns) -> Support:  # noqa: ARG002
        return Support.none()  # the counts say themselves how many rows they stand for

    def pooled_hidden(self, params: EventCountsParams, arrays: Arrays, floor: int) -> dict[str, NDArray[np.bool_]]:
        """Hide all but the ends of merged intervals, and groups that have none (`merging`)."""
        counts = {name: np.rint(arrays[name]).astype(np.int64).reshape(-1, params.cells[-1]) for name in _CUMULATIVE}
        shown = ~hidden_groups(counts["ended"][:, -1], counts["left"][:, -1], floor)
        masks = {}
        for name, cumulative in counts.items():
            masks[name] = np.ones(cumulative.shape, np.bool_)
            masks[name][shown] = ~ends(np.diff(cumulative[shown], axis=1, prepend=0), floor)
        return {name: mask.reshape(params.cells) for name, mask in masks.items()}

    def read_pooled(self, params: EventCountsParams, arrays: Arrays) -> dict[str, Array]:
        """Return the counts on the merged grid, and where its intervals end, (K + 1,) each."""
        ended, left = (arrays[name].reshape(-1, params.cells[-1]) for name in _CUMULATIVE)
        of_events, of_censored = (~np.isnan(some).all(axis=0) for some in (ended, left))
        events, censored = at_ends(ended), at_ends(left)
        leaving = events + censored
        at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]
        return {
            "events": events.reshape(params.cells),
            "at_risk": at_risk.reshape(params.cells),
            "answered": at_risk[:, 0].sum(),
            EVENT_ENDS: of_events.astype(np.float64),
            CENSORED_ENDS: of_censored.astype(np.float64),
        }

    def disclosure(self, params: EventCountsParams) -> Disclosure:
        width = params.outcome.grid.width
        groups = "".join(f", by {category.column}" for category in params.by)
        return Disclosure(
            tells=(
                f"In which interval of {width:g} (units of {params.outcome.time}) patients had their event or were "
                f"censored, counted across all sites{groups}. If an interval holds a single event across all sites, "
                "someone who knows that a patient is in the data, and roughly when the event was, can recognise "
                "the patient, but learns nothing else. No values of other columns."
            ),
            groups=(
                Group(
                    blocks=("at_risk",),
                    people="rows still at risk at a grid time",
                    reveals=Reveals.COUNT,
                    one_person=True,
                ),
                Group(
                    blocks=("events", "at_risk"),
                    people="rows with an event, or censored, in one interval of the grid",
                    reveals=Reveals.COUNT,
                    one_person=True,
                    resolution=width,
                ),
            ),
            minimum_rows=5,
        )
