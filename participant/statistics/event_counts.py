"""Event counts on the agreed grid: what Kaplan-Meier and log-rank need.

For grid times k = 1 ... K (see `outcome`), over the complete rows:

    events  = d_k, number of events at k
    at_risk = n_k, number of rows whose time is k or later
    outside = rows with a negative time; rows with an event code other than 0 and 1

A row that is censored at k is at risk at k, as usual. Every site counts at every grid time, also where it has no event
of its own. Units: rows. Exact.

Source: Kaplan, Meier 1958, J Am Stat Assoc 53:457, section 2.
"""

import numpy as np

from participant.statistics.disclosure import Disclosure, Group, Reveals
from participant.statistics.layout import Arrays, Block, Layout
from participant.statistics.outcome import Outcome
from participant.statistics.statistic import Columns, Params, Statistic


class EventCountsParams(Params):
    """`outcome`: time and event columns, and the grid of K times."""

    outcome: Outcome


class EventCounts(Statistic[EventCountsParams]):
    """Blocks: `events` (K,), `at_risk` (K,), `outside` (2,)."""

    name = "event-counts"
    version = 1
    Params = EventCountsParams

    def columns(self, params: EventCountsParams) -> tuple[str, ...]:
        return (params.outcome.time, params.outcome.event)

    def layout(self, params: EventCountsParams) -> Layout:
        count, limit = params.outcome.grid.count, float(params.row_limit)
        return Layout(
            (
                Block("events", (count,), limit, exact=True),
                Block("at_risk", (count,), limit, exact=True),
                Block("outside", (2,), limit, exact=True),
            )
        )

    def compute(self, params: EventCountsParams, columns: Columns) -> Arrays:
        grid_time, event, outside = params.outcome.observe(columns)
        slots = params.outcome.grid.count + 2
        leaving = np.bincount(grid_time, minlength=slots)
        events = np.bincount(grid_time[event], minlength=slots)
        return {
            "events": events[1:-1].astype(np.float64),
            "at_risk": np.cumsum(leaving[::-1])[::-1][1:-1].astype(np.float64),
            "outside": outside,
        }

    def disclosure(self, params: EventCountsParams) -> Disclosure:
        width = params.outcome.grid.width
        return Disclosure(
            tells=(
                f"In which interval of {width:g} (units of {params.outcome.time}) patients had their event or were "
                "censored, counted over all sites. Where an interval holds one event over all sites, someone who knows "
                "that a patient is in the data and roughly when the event was can recognise the patient, and learns "
                "nothing else. No values of other columns."
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
