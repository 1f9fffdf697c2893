"""Sums for k-means at given centres: one step of Lloyd's algorithm.

With z the p scaled variables and c_1 ... c_k the centres, each row belongs to the nearest centre (to the first, if
several are nearest); over the complete rows:

    counts   = rows of each centre                          (k,)      whole numbers
    sums     = sum of z over the rows of each centre        (p, k)
    distance = sum of |z - c|^2 over the rows of each       (k,)
    outside  = values clipped to their range                (p,)      whole numbers

New centres are sums / counts; the algorithm lowers the sum of `distance`.

Source: Lloyd 1982, IEEE Trans Inf Theory 28:129.
"""

from typing import Annotated, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from participant.statistics.language.disclosure import Disclosure, Reveals, of_cells
from participant.statistics.language.from_sums import FROM_SUMS
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.statistic import Columns, Params, Statistic
from participant.statistics.language.support import Support, binned
from participant.statistics.models.design import Numeric

MAX_CENTRES = 256
MAX_VARIABLES = 256

Centre = tuple[FiniteFloat, ...]


class KMeansParams(Params):
    """Parameters: the p `variables`, and k `centres`, (p,) each, on the scale of the variables."""

    variables: Annotated[tuple[Numeric, ...], Field(min_length=1, max_length=MAX_VARIABLES)]
    centres: Annotated[tuple[Centre, ...], Field(min_length=1, max_length=MAX_CENTRES), FROM_SUMS]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if {len(centre) for centre in self.centres} != {len(self.variables)}:
            raise ValueError("a centre must have one coordinate for each variable")
        if len({variable.names for variable in self.variables}) != len(self.variables):
            raise ValueError("a variable is listed twice; list each once")
        return self

    @property
    def box(self) -> tuple[Array, Array]:
        """Least and largest value of each variable, (p,) each."""
        low, high = zip(*(variable.box for variable in self.variables), strict=True)
        return np.concatenate(low), np.concatenate(high)

    def distances(self, z: Array) -> Array:
        """Return the squared distance of each row from each centre, (k, rows)."""
        return np.array([np.square(z - np.array(centre)[:, np.newaxis]).sum(axis=0) for centre in self.centres])


class KMeans(Statistic[KMeansParams]):
    """Sums for k-means; the module's docstring describes the blocks."""

    name = "k-means"
    version = 2
    Params = KMeansParams

    def columns(self, params: KMeansParams) -> tuple[str, ...]:
        return tuple(dict.fromkeys(variable.column for variable in params.variables))

    def layout(self, params: KMeansParams) -> Layout:
        limit, k, p = float(params.row_limit), len(params.centres), len(params.variables)
        low, high = params.box
        reach = np.maximum(np.abs(low), np.abs(high))
        with np.errstate(over="ignore"):  # a layout refuses infinite bounds
            centres = np.array(params.centres)
            furthest = np.square(np.maximum(np.abs(centres - low), np.abs(centres - high))).sum(axis=1)
        return Layout(
            (
                Block("counts", (k,), limit, exact=True, cells="counts"),
                Block("sums", (p, k), tuple((limit * reach).tolist()), cells="counts"),
                Block("distance", (k,), limit * float(furthest.max()), cells="counts"),
                Block("outside", (p,), limit, exact=True, few="rounded"),
            )
        )

    def compute(self, params: KMeansParams, columns: Columns) -> Arrays:
        coded = [variable.coded(columns) for variable in params.variables]
        z, k = np.concatenate([one.z for one in coded]), len(params.centres)
        distances = params.distances(z)
        nearest = distances.argmin(axis=0)
        return {
            "counts": np.bincount(nearest, minlength=k).astype(np.float64),
            "sums": np.array([np.bincount(nearest, row, k) for row in z], np.float64),
            "distance": np.bincount(nearest, distances.min(axis=0), k).astype(np.float64),
            "outside": np.array(
                [
                    np.count_nonzero(one.outside[variable.column])
                    for one, variable in zip(coded, params.variables, strict=True)
                ],
                np.float64,
            ),
        }

    def support(self, params: KMeansParams, columns: Columns) -> Support:
        z = np.concatenate([variable.coded(columns).z for variable in params.variables])
        distances = params.distances(z)
        low, _ = params.box
        sizes = np.concatenate([z - low[:, np.newaxis], distances.min(axis=0, keepdims=True)])
        of_all = Support.of(np.ones((1, z.shape[1]), np.bool_))
        return binned(distances.argmin(axis=0), len(params.centres), sizes).beside(of_all)

    def disclosure(self, params: KMeansParams) -> Disclosure:
        return of_cells(
            f"Number and mean of the complete rows of all sites that meet the filter and are nearest to each of "
            f"{len(params.centres)} points, by {', '.join(variable.names[0] for variable in params.variables)}. "
            "Centres chosen around somebody make that person a cell.",
            "rows nearest to one point",
            blocks=("counts", "sums", "distance"),
            reveals=Reveals.VALUES,
        )
