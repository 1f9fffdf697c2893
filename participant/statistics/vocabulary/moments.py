"""Moments: count, sums and sums of squares, for means and standard deviations.

With m the middle of a variable's declared range, over the complete rows:

    rows    = n
    sums    = sum of (x - m)
    squares = sum of (x - m)^2
    outside = number of values clipped to the declared range (see `variables`)

so mean = m + sums / n and variance = (squares - sums^2 / n) / (n - 1). Sums about m rather than 0 remain precise for a
variable with a large mean and a small spread. Units: the variable's, and its square.

Source: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", on shifted data.
"""

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from participant.statistics.language.disclosure import Disclosure, Group, Reveals
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.query import MAX_COLUMNS
from participant.statistics.language.statistic import Columns, Params, Statistic
from participant.statistics.language.support import Support
from participant.statistics.models.variables import Variable, bounded, distinct


class MomentsParams(Params):
    """Parameters: the p `variables` with their declared ranges."""

    variables: Annotated[tuple[Variable, ...], Field(min_length=1, max_length=MAX_COLUMNS), AfterValidator(distinct)]

    @property
    def middles(self) -> Array:
        """Middles of the ranges, (p,)."""
        return np.array([variable.low + (variable.high - variable.low) / 2 for variable in self.variables])


class Moments(Statistic[MomentsParams]):
    """Moments. Blocks: `rows` (), `sums` (p,), `squares` (p,), `outside` (p,)."""

    name = "moments"
    version = 2
    Params = MomentsParams

    def columns(self, params: MomentsParams) -> tuple[str, ...]:
        return tuple(variable.column for variable in params.variables)

    def layout(self, params: MomentsParams) -> Layout:
        p, limit = len(params.variables), float(params.row_limit)
        reach = [(variable.high - variable.low) / 2 for variable in params.variables]
        return Layout(
            (
                Block("rows", (), limit, exact=True),
                Block("sums", (p,), tuple(limit * half for half in reach)),
                Block("squares", (p,), tuple(limit * half * half for half in reach)),
                Block("outside", (p,), limit, exact=True, few="rounded"),
            )
        )

    def compute(self, params: MomentsParams, columns: Columns) -> Arrays:
        values, outside = bounded(params.variables, columns)
        centred = values - params.middles[:, np.newaxis]
        return {
            "rows": np.array(values.shape[1], np.float64),
            "sums": centred.sum(axis=1),
            "squares": np.square(centred).sum(axis=1),
            "outside": outside,
        }

    def support(self, params: MomentsParams, columns: Columns) -> Support:
        values, _ = bounded(params.variables, columns)
        low = np.array([[variable.low] for variable in params.variables])
        high = np.array([[variable.high] for variable in params.variables])
        share = (values - low) / (high - low)
        groups = [np.ones((1, values.shape[1]), np.bool_), values > low, values < high]
        return Support.of(np.concatenate(groups), np.concatenate([share, share * share]))

    def disclosure(self, params: MomentsParams) -> Disclosure:  # noqa: ARG002 - the same for all
        return Disclosure(
            tells=(
                "Number, mean and standard deviation of each variable over the complete rows of all sites that meet "
                "the filter, and how many values lie outside the declared range. If the filter leaves one or two rows "
                "across all sites, their values show."
            ),
            groups=(
                Group(
                    blocks=("rows", "sums", "squares", "outside"),
                    people="complete rows that meet the filter",
                    reveals=Reveals.VALUES,
                    one_person=False,
                ),
            ),
            minimum_rows=5,
        )
