"""Contingency tables: numbers of rows with each combination of levels.

    counts = rows of each combination    (L_1 + 1, ..., L_k + 1)    whole numbers

over the complete rows, for k categories; each has one cell more than levels, for rows with another code. Chi-square and
Fisher's tests, odds ratios and frequency tables need nothing else. Units: rows. Exact.

Source: Agresti 2013, "Categorical Data Analysis", chapter 2.
"""

from math import prod
from typing import Annotated

import numpy as np
from pydantic import Field

from participant.statistics.language.disclosure import Disclosure, Reveals, of_cells
from participant.statistics.language.layout import Arrays, Block, Layout
from participant.statistics.language.statistic import Columns, Params, Statistic
from participant.statistics.models.cells import Categories, cell_of, cells_of


class ContingencyParams(Params):
    """Parameters: the categories `by`."""

    by: Annotated[Categories, Field(min_length=1)]


class Contingency(Statistic[ContingencyParams]):
    """A contingency table. Blocks: `counts`."""

    name = "contingency"
    version = 2
    Params = ContingencyParams

    def columns(self, params: ContingencyParams) -> tuple[str, ...]:
        return tuple(category.column for category in params.by)

    def layout(self, params: ContingencyParams) -> Layout:
        return Layout((Block("counts", cells_of(params.by), float(params.row_limit), exact=True, cells="counts"),))

    def compute(self, params: ContingencyParams, columns: Columns) -> Arrays:
        cells = cells_of(params.by)
        counts = np.bincount(cell_of(params.by, columns), minlength=prod(cells))
        return {"counts": counts.reshape(cells).astype(np.float64)}

    def disclosure(self, params: ContingencyParams) -> Disclosure:
        groups = " and ".join(category.column for category in params.by)
        return of_cells(
            f"How many complete rows of all sites that meet the filter have each combination of {groups}.",
            f"rows of one combination of {groups}",
            blocks=("counts",),
            reveals=Reveals.COUNT,
        )
