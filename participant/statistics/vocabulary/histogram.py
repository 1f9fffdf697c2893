"""Histograms of a quantity, by group; their cumulative counts yield quantiles.

The quantity q is a numeric column, or a model's value for a row (`Predicted`). Edges lie on a grid, at origin + k *
width for E requested whole numbers k in ascending order, and form E + 1 bins: the first holds values up to and
including the first edge, the last those above the last edge. Over the complete rows, for each cell of the grouping
categories (one cell if none) and each bin:

    counts = rows                          (L_1 + 1, ..., E + 1)    whole numbers
    sums   = sum of q - origin, if requested (the same), otherwise no entries
    outside = values of q clipped to its range  ()                  whole number

Cumulative counts are those of rows at or below each edge: one round with many edges gives quantiles to
within a bin, and bisection continues with finer edges inside the relevant bin. No series of rounds discloses more than
counts in the intervals of the grid; the grid's width limits the precision of quantiles, and a policy can check it.

With a predicted risk as the quantity and the outcome as the group, the bins yield ROC curves, calibration and Hosmer
and Lemeshow's test; with a residual as the quantity, they yield regression diagnostics. Units: rows, and those of q.

With pooled floors, small bins of a predicted risk by outcome are merged with their neighbours (`merging`), so that all
rows count, and if possible not across one half. Other small bins are hidden.

Sources: Hosmer, Lemeshow 1980, Commun Stat A 9:1043; Tukey 1977, for judging residuals by their distribution.
"""

from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, model_validator

from participant.statistics.language.conditions import Strict
from participant.statistics.language.disclosure import Disclosure, Group, Reveals
from participant.statistics.language.from_sums import FROM_SUMS
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.statistic import Columns, Params, Statistic
from participant.statistics.language.support import Support, binned
from participant.statistics.models.cells import MAX_CELLS, Categories, cell_of, cells_of
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.families import Family, FamilyName
from participant.statistics.models.merging import are_shown, at_ends, ends, hidden_groups
from participant.statistics.models.model import check_linear, linear, single
from participant.statistics.vocabulary.glm_score import MAX_LIMIT

BIN_ENDS = "bin_ends"
"""Name of the array that says for each bin whether a merged one ends there; only in pooled sums."""
MAX_EDGES = 1000
MAX_GRID = 1 << 31


class Predicted(Strict):
    """A model's value for a row.

    Attributes:
        kind: ``predicted``.
        what: value: ``linear`` predictor eta, ``mean`` m, ``residual`` y - m, or ``pearson`` (y - m) / sqrt(V(m)).
        family, alpha, offset: as in `glm_score`.
        design, coefficients: covariates, and the coefficient of each.
        outcome: outcome y; None if not needed.
        low, high: range of the quantity; values outside are clipped and counted.
    """

    kind: Literal["predicted"] = "predicted"
    what: Literal["linear", "mean", "residual", "pearson"]
    family: FamilyName
    alpha: Annotated[FiniteFloat, Field(ge=0, le=1e6), FROM_SUMS]
    design: Design
    coefficients: Annotated[tuple[FiniteFloat, ...], FROM_SUMS]
    offset: Numeric | None
    outcome: Numeric | None
    low: FiniteFloat
    high: FiniteFloat

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_linear(self.design, self.coefficients)
        if not self.low < self.high:
            raise ValueError("the range needs low < high")
        if (self.outcome is None) != (self.what in {"linear", "mean"}):
            raise ValueError("residuals, and nothing else, need the outcome")
        if (self.alpha > 0) != (self.family == "negative-binomial"):
            raise ValueError("alpha must be above 0 for the negative binomial, and 0 for all others")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        beside = tuple(factor.column for factor in (self.offset, self.outcome) if factor)
        return tuple(dict.fromkeys(self.design.columns + beside))

    @property
    def words(self) -> str:
        return f"{self.what} of a {self.family} model by {', '.join(self.design.names)}"

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    def of(self, columns: Columns) -> tuple[Array, int]:
        """Return the quantity clipped to its range, and the number of clipped values."""
        eta = linear(self.coefficients, self.design.coded(columns).z)
        if self.offset:
            eta = eta + single(self.offset, columns)
        if self.family != "gaussian":
            eta = np.clip(eta, -MAX_LIMIT, MAX_LIMIT)
        value = self._value(eta, columns)
        return np.clip(value, self.low, self.high), int(np.count_nonzero((value < self.low) | (value > self.high)))

    def _value(self, eta: Array, columns: Columns) -> Array:
        family = Family(self.family, self.alpha)
        if self.what == "linear":
            return eta
        if self.outcome is None:
            return family.mean(eta)
        residual = single(self.outcome, columns) - family.mean(eta)
        if self.what == "residual":
            return residual
        pearson: Array = np.sign(residual) * np.sqrt(family.parts(single(self.outcome, columns), eta).pearson)
        return pearson


class Measured(Numeric):
    """A numeric column as a quantity."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def words(self) -> str:
        return self.names[0]

    def of(self, columns: Columns) -> tuple[Array, int]:
        """Return the quantity clipped to its range, and the number of clipped values."""
        coded = self.coded(columns)
        return coded.z[0], int(np.count_nonzero(coded.outside[self.column]))


class HistogramParams(Params):
    """Parameters: `quantity`, groups `by`, the bins' `origin`, `width` and `edges`; `sums` requests sums."""

    quantity: Annotated[Measured | Predicted, Field(discriminator="kind")]
    by: Categories
    origin: FiniteFloat
    width: FiniteFloat = Field(gt=0)
    edges: Annotated[
        tuple[Annotated[int, Field(ge=-MAX_GRID, le=MAX_GRID)], ...], Field(min_length=1, max_length=MAX_EDGES)
    ]
    sums: bool

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(first >= second for first, second in pairwise(self.edges)):
            raise ValueError("edges must ascend")
        if prod(self.cells) > MAX_CELLS:
            raise ValueError(f"groups and bins form more than {MAX_CELLS} cells; use fewer bins or groups")
        return self

    @property
    def cells(self) -> tuple[int, ...]:
        return (*cells_of(self.by), len(self.edges) + 1)

    def cell(self, value: Array, columns: Columns) -> NDArray[np.intp]:
        """Return the cell of each row, by group and bin."""
        edges = self.origin + self.width * np.array(self.edges, np.float64)
        bins: NDArray[np.intp] = np.searchsorted(edges, value, side="left")
        return cell_of(self.by, columns) * (len(edges) + 1) + bins

    @property
    def merges(self) -> bool:
        """Whether small bins are merged over all sites rather than hidden: bins of a predicted risk, by outcome."""
        return isinstance(self.quantity, Predicted) and self.quantity.what == "mean" and bool(self.by)

    @property
    def middle(self) -> int:
        """Number of bins below one half if that is an edge, otherwise 0."""
        below = [self.origin + self.width * edge for edge in self.edges]
        return below.index(0.5) + 1 if 0.5 in below else 0

    @property
    def reach(self) -> float:
        """The largest distance of the quantity from the origin."""
        return max(abs(end - self.origin) for end in self.quantity.bounds)


class Histogram(Statistic[HistogramParams]):
    """A histogram; the module's docstring describes the blocks."""

    name = "histogram"
    version = 2
    Params = HistogramParams

    def columns(self, params: HistogramParams) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*(category.column for category in params.by), *params.quantity.columns)))

    def layout(self, params: HistogramParams) -> Layout:
        limit = float(params.row_limit)
        sums = Block("sums", params.cells, limit * (params.reach or 1.0), cells="counts")
        return Layout(
            (
                Block("counts", params.cells, limit, exact=True, cells="counts"),
                sums if params.sums else Block("sums", (0,), 1.0),
                Block("outside", (), limit, exact=True, few="rounded"),
            )
        )

    def compute(self, params: HistogramParams, columns: Columns) -> Arrays:
        value, moved = params.quantity.of(columns)
        cell = params.cell(value, columns)

        def binned(weights: Array | None = None) -> Array:
            return np.bincount(cell, weights, prod(params.cells)).reshape(params.cells).astype(np.float64)

        return {
            "counts": binned(),
            "sums": binned(value - params.origin) if params.sums else np.zeros(0),
            "outside": np.array(float(moved)),
        }

    def support(self, params: HistogramParams, columns: Columns) -> Support:
        value, _ = params.quantity.of(columns)
        low, _ = params.quantity.bounds
        sizes = (value - low)[np.newaxis][: int(params.sums)]
        of_all = Support.of(np.ones((1, len(value)), np.bool_))
        return binned(params.cell(value, columns), prod(params.cells), sizes).beside(of_all)

    def pooled_layout(self, params: HistogramParams) -> Layout:
        """Return the layout of what the sites open; where bins are merged, numbers and sums up to each bin's end."""
        if not params.merges:
            return self.layout(params)
        return Layout(tuple(replace(block, cells=None) for block in self.layout(params).blocks))

    def pooled_total(self, params: HistogramParams, columns: Columns) -> Arrays:
        arrays = self.total(params, columns)
        if not params.merges:
            return arrays
        return {name: np.cumsum(array, axis=-1) if array.ndim else array for name, array in arrays.items()}

    def pooled_hidden(self, params: HistogramParams, arrays: Arrays, floor: int) -> dict[str, NDArray[np.bool_]]:
        """Where bins are merged, hide all but the ends of merged ones, and groups that have none (`merging`)."""
        if not params.merges:
            return {}
        cumulative = np.rint(arrays["counts"]).astype(np.int64).reshape(-1, params.cells[-1])
        shown = ~hidden_groups(cumulative[:, -1], np.zeros_like(cumulative[:, -1]), floor)
        halves = np.split(np.diff(cumulative[shown], axis=1, prepend=0), [params.middle], axis=1)
        where = ends(np.concatenate(halves, axis=1), floor)
        if params.middle and all(are_shown(half.sum(axis=1), floor).all() for half in halves):
            where = np.concatenate([ends(half, floor) for half in halves])
            where[params.middle - 1] = True
        mask = np.ones(cumulative.shape, np.bool_)
        mask[shown] = ~where
        return dict.fromkeys(("counts", "sums") if params.sums else ("counts",), mask.reshape(params.cells))

    def read_pooled(self, params: HistogramParams, arrays: Arrays) -> Arrays:
        """Return the numbers and sums of merged bins at the last bin of each."""
        if not params.merges:
            return {}
        found = {name: at_ends(arrays[name]) for name in ("counts", "sums")[: 1 + params.sums]}
        where = ~np.isnan(arrays["counts"]).all(axis=tuple(range(arrays["counts"].ndim - 1)))
        return {**found, "answered": found["counts"].sum(), BIN_ENDS: where.astype(np.float64)}

    def pooled_support(self, params: HistogramParams, columns: Columns) -> Support:  # noqa: ARG002
        """A bin of as many rows as the floor shows values that its edges bound anyway, whoever has most of the sum."""
        return Support.none()

    def disclosure(self, params: HistogramParams) -> Disclosure:
        groups = "".join(f", by {category.column}" for category in params.by)
        return Disclosure(
            tells=(
                f"How many complete rows of all sites that meet the filter have {params.quantity.words} in each of "
                f"{len(params.edges) + 1} intervals{groups}{', and their mean' if params.sums else ''}. An interval "
                "can hold few rows, even across all sites, unless the query has a floor (minimum_persons). Rounds "
                f"with other edges add up to counts in intervals of {params.width:g}, but no finer."
            ),
            groups=(
                Group(
                    blocks=("counts", "sums"),
                    people="rows in one interval",
                    reveals=Reveals.VALUES if params.sums else Reveals.COUNT,
                    one_person=True,
                    resolution=params.width,
                ),
            ),
            minimum_rows=5,
        )
