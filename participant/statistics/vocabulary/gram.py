"""Gram matrix: sums of squares and products of covariates.

With z the p covariates of a design (including the intercept, if requested) and w a weight, by default 1,
over the complete rows:

    rows    = n                     ()      whole number
    gram    = sum of w z z'         (q,)    upper triangle by rows, q = p (p + 1) / 2
    outside = values outside their range or levels, of each column of the design, and of the weight; whole numbers

With the outcome among the covariates, linear and ridge regression, correlation, principal components, and analysis of
variance and covariance need nothing else. Units: products of those of the covariates.

Source: Seber, Lee 2003, "Linear Regression Analysis", chapter 3; Du, Han, Chen 2004, SIAM SDM, for sums over sites.
"""

import numpy as np

from participant.statistics.language.disclosure import Disclosure, of_model
from participant.statistics.language.layout import Arrays, Block, Layout
from participant.statistics.language.statistic import Columns, Statistic
from participant.statistics.language.support import Support
from participant.statistics.models.design import cross_bounds, cross_sums
from participant.statistics.models.model import ModelParams


class Gram(Statistic[ModelParams]):
    """The Gram matrix; the module's docstring describes the blocks. A linear model fitted to them has as many
    parameters as covariates, not counting the outcome.
    """

    name = "gram"
    version = 2
    Params = ModelParams

    def columns(self, params: ModelParams) -> tuple[str, ...]:
        return params.columns

    def layout(self, params: ModelParams) -> Layout:
        limit, bounds = float(params.row_limit), cross_bounds(params.design.reach, params.weight_bound)
        return Layout(
            (
                Block("rows", (), limit, exact=True),
                Block("gram", (len(bounds),), bounds),
                Block("outside", (len(params.columns),), limit, exact=True, few="rounded"),
            )
        )

    def compute(self, params: ModelParams, columns: Columns) -> Arrays:
        coded, weights = params.design.coded(columns), params.weights(columns)
        return {
            "rows": np.array(len(weights), np.float64),
            "gram": cross_sums(coded.z, weights),
            "outside": params.outside(coded, columns),
        }

    def support(self, params: ModelParams, columns: Columns) -> Support:
        return params.support(columns, params.weights(columns)[np.newaxis])

    def persons(self, params: ModelParams, columns: Columns) -> int:
        return params.design.persons(columns)

    def parameters(self, params: ModelParams) -> int:
        return max(len(params.design.names) - 1, 1)

    def disclosure(self, params: ModelParams) -> Disclosure:
        return of_model(
            f"Sums of squares and products of {', '.join(params.design.names)} over the complete rows of all sites "
            "that meet the filter.",
            blocks=("rows", "gram", "outside"),
        )
