"""Counts: rows, complete rows, and values present in each column.

    rows     = number of rows that meet the filter
    complete = number of those rows without a missing value in any of the columns
    present  = for each column, number of rows with a value

Units: rows. Exact.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from participant.statistics.language.conditions import Name
from participant.statistics.language.disclosure import Disclosure, Group, Reveals
from participant.statistics.language.layout import Arrays, Block, Layout
from participant.statistics.language.query import MAX_COLUMNS
from participant.statistics.language.statistic import Columns, Params, Statistic


class CountsParams(Params):
    """Parameters: the p `columns` whose values are counted."""

    columns: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_COLUMNS)]


class Counts(Statistic[CountsParams]):
    """Counts of rows and values. Blocks: `rows` (), `complete` (), `present` (p,)."""

    name = "counts"
    version = 2
    Params = CountsParams
    keeps_missing = True

    def columns(self, params: CountsParams) -> tuple[str, ...]:
        return params.columns

    def layout(self, params: CountsParams) -> Layout:
        limit = float(params.row_limit)
        return Layout(
            (
                Block("rows", (), limit, exact=True),
                Block("complete", (), limit, exact=True, few="rounded"),
                Block("present", (len(params.columns),), limit, exact=True, few="rounded"),
            )
        )

    def compute(self, params: CountsParams, columns: Columns) -> Arrays:
        present = ~np.isnan([columns[name] for name in params.columns])
        return {
            "rows": np.array(present.shape[1], np.float64),
            "complete": np.array(np.count_nonzero(present.all(axis=0)), np.float64),
            "present": np.count_nonzero(present, axis=1).astype(np.float64),
        }

    def disclosure(self, params: CountsParams) -> Disclosure:  # noqa: ARG002 - the same for all
        return Disclosure(
            tells=(
                "How many rows across all sites meet the filter, how many of them are complete, and how many have a "
                "value in each column. No values. A narrow filter makes a small count; two counts whose filters differ "
                "by one patient disclose whether that patient meets them."
            ),
            groups=(
                Group(
                    blocks=("rows", "complete", "present"),
                    people="rows that meet the filter",
                    reveals=Reveals.COUNT,
                    one_person=False,
                ),
            ),
            minimum_rows=5,
        )
