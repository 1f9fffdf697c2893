"""Moments by class, for t-tests, analysis of variance, naive Bayes and discriminant analysis.

With z a numeric variable, m the middle of its range, and a cell for each combination of levels of the grouping
categories (each category has one more cell, for rows with another code), over the complete rows:

    counts    = rows of the cell                             (L_1 + 1, ...)       whole numbers
    sums      = sum of z - m over the cell                   (p, L_1 + 1, ...)
    squares   = sum of (z - m)^2 over the cell               (p, L_1 + 1, ...)
    dominated = number of cells that a single row dominates  ()                   whole number
    outside   = values clipped to their range                (p,)                 whole numbers

For some variable, a row may contribute more than the share `dominance` of a cell's sum of z - low, and so dominate it:
anyone who knows that sum nearly knows the row's value. A site leaves out such a cell entirely and counts it in
`dominated` instead; if `dominance` is 1, no cell is left out. Units: those of the variables, and their squares.

Source: Chan, Golub, LeVeque 1983, for shifted data; Hundepool et al. 2012, "Statistical Disclosure Control", section
4.2, for dominance.
"""

from math import prod
from typing import Annotated, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from participant.statistics.language.disclosure import Disclosure, Reveals, of_cells
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.query import MAX_COLUMNS
from participant.statistics.language.statistic import Columns, Params, Statistic
from participant.statistics.language.support import Support, binned
from participant.statistics.models.cells import Categories, cell_of, cells_of
from participant.statistics.models.design import Numeric


class ClassMomentsParams(Params):
    """Parameters: grouping categories `by`, the p `variables`, and `dominance`, above 0 and at most 1."""

    by: Annotated[Categories, Field(min_length=1)]
    variables: Annotated[tuple[Numeric, ...], Field(min_length=1, max_length=MAX_COLUMNS)]
    dominance: FiniteFloat = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({name for variable in self.variables for name in variable.names}) != len(self.variables):
            raise ValueError("a variable is listed twice; list each once")
        return self

    @property
    def box(self) -> tuple[Array, Array]:
        """Least and largest value of each variable, (p, 1) each."""
        low, high = zip(*(variable.box for variable in self.variables), strict=True)
        return np.array(low), np.array(high)

    @property
    def middles(self) -> Array:
        """Middles of the ranges, (p,)."""
        low, high = self.box
        middles: Array = (low + (high - low) / 2)[:, 0]
        return middles


class ClassMoments(Statistic[ClassMomentsParams]):
    """Moments by class; the module's docstring describes the blocks."""

    name = "class-moments"
    version = 2
    Params = ClassMomentsParams

    def columns(self, params: ClassMomentsParams) -> tuple[str, ...]:
        read = [category.column for category in params.by] + [variable.column for variable in params.variables]
        return tuple(dict.fromkeys(read))

    def layout(self, params: ClassMomentsParams) -> Layout:
        limit, cells, p = float(params.row_limit), cells_of(params.by), len(params.variables)
        low, high = params.box
        half = (high - low)[:, 0] / 2
        return Layout(
            (
                Block("counts", cells, limit, exact=True, cells="counts"),
                Block("sums", (p, *cells), tuple((limit * half).tolist()), cells="counts"),
                Block("squares", (p, *cells), tuple((limit * half * half).tolist()), cells="counts"),
                Block("dominated", (), float(prod(cells)), exact=True),
                Block("outside", (p,), limit, exact=True, few="rounded"),
            )
        )

    def total(self, params: ClassMomentsParams, columns: Columns) -> Arrays:
        """Compute over all rows at once, since pieces of the table cannot show whether a row dominates a cell."""
        cell, size = cell_of(params.by, columns), prod(cells_of(params.by))
        dominated = np.zeros(size, np.bool_)
        low, _ = params.box
        for variable, least in zip(params.variables, low, strict=True) if params.dominance < 1 else ():
            above = variable.coded(columns).z[0] - least
            largest = np.zeros(size)
            np.maximum.at(largest, cell, above)
            dominated |= largest > params.dominance * np.bincount(cell, above, size)
        kept = {name: column[~dominated[cell]] for name, column in columns.items()}
        arrays = dict(super().total(params, kept))
        # Values outside their range are counted over all rows, as this count does not belong to a cell.
        return arrays | {
            "dominated": np.array(np.count_nonzero(dominated), np.float64),
            "outside": self._outside(params, columns),
        }

    def compute(self, params: ClassMomentsParams, columns: Columns) -> Arrays:
        cell, cells = cell_of(params.by, columns), cells_of(params.by)
        centred = [
            variable.coded(columns).z[0] - middle
            for variable, middle in zip(params.variables, params.middles, strict=True)
        ]

        def by_cell(weights: Array | None = None) -> Array:
            return np.bincount(cell, weights, prod(cells)).reshape(cells).astype(np.float64)

        return {
            "counts": by_cell(),
            "sums": np.array([by_cell(x) for x in centred]),
            "squares": np.array([by_cell(x * x) for x in centred]),
            "dominated": np.array(0.0),
            "outside": self._outside(params, columns),
        }

    def support(self, params: ClassMomentsParams, columns: Columns) -> Support:
        low, high = params.box
        z = np.array([variable.coded(columns).z[0] for variable in params.variables])
        share = (z - low) / np.where(high > low, high - low, 1.0)
        by_cell = binned(cell_of(params.by, columns), prod(cells_of(params.by)), np.concatenate([share, share * share]))
        groups = np.concatenate([variable.groups(columns) for variable in params.variables])
        return by_cell.beside(Support.of(np.concatenate([np.ones((1, z.shape[1]), np.bool_), groups])))

    def _outside(self, params: ClassMomentsParams, columns: Columns) -> Array:
        odd = [variable.coded(columns).outside[variable.column] for variable in params.variables]
        return np.array([np.count_nonzero(which) for which in odd], np.float64)

    def disclosure(self, params: ClassMomentsParams) -> Disclosure:
        groups = " and ".join(category.column for category in params.by)
        return of_cells(
            f"Number, mean and standard deviation of {', '.join(variable.names[0] for variable in params.variables)} "
            f"over the complete rows of all sites that meet the filter, for each combination of {groups}.",
            f"rows of one combination of {groups}",
            blocks=("counts", "sums", "squares"),
            reveals=Reveals.VALUES,
        )
