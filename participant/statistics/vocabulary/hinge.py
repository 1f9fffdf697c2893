"""Hinge-loss sums of a linear support vector machine at given coefficients.

With z the covariates of a design, s = 2 y - 1 in [-1, 1] for the outcome y in [0, 1], w a weight and
h = max(0, 1 - s coefficients . z), over the complete rows:

    rows      = n                                            ()      whole number
    active    = rows with h > 0                              ()      whole number
    loss      = sum of w h,         or of w h^2              ()
    gradient  = - sum of w s z,     or of 2 w h s z, over the active rows          (p,)
    curvature = (no entries),       or sum of 2 w s^2 z z' over the active rows    (q,)  upper triangle by rows
    outside   = values outside their range or levels: of each column of the design, of the outcome, of the weight

for the loss `hinge` (a subgradient) and `squared-hinge` (smooth, with the generalised Hessian of Newton's method). The
penalty does not depend on the data; the analysis adds it.

Source: Mangasarian 2002, Optim Methods Softw 17:913; Fan et al. 2008, J Mach Learn Res 9:1871 (the squared hinge loss).
"""

from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from participant.statistics.language.disclosure import Disclosure, of_model
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.statistic import Columns, Statistic
from participant.statistics.language.support import Support
from participant.statistics.models.design import Numeric, cross_bounds, cross_sums
from participant.statistics.models.model import LinearParams, single
from participant.statistics.models.variables import Coded


class HingeParams(LinearParams):
    """Parameters: the `outcome`, which is the class, 0 or 1; and the name of the `loss`."""

    outcome: Numeric
    loss: Literal["hinge", "squared-hinge"]

    @model_validator(mode="after")
    def _check_outcome(self) -> Self:
        low, high = self.outcome.bounds
        if low < 0 or high > 1:
            raise ValueError("the outcome must have a range inside 0 to 1")
        return self

    @property
    def beside(self) -> tuple[Numeric, ...]:
        return (self.outcome, *super().beside)

    def margins(self, coded: Coded, columns: Columns) -> tuple[Array, Array]:
        """Return s and h, (rows,) each."""
        s = 2 * single(self.outcome, columns) - 1
        return s, np.maximum(0.0, 1 - s * self.linear(coded))


class Hinge(Statistic[HingeParams]):
    """Hinge-loss sums; the module's docstring describes the blocks."""

    name = "hinge"
    version = 2
    Params = HingeParams

    def columns(self, params: HingeParams) -> tuple[str, ...]:
        return params.columns

    def layout(self, params: HingeParams) -> Layout:
        limit, weight, reach = float(params.row_limit), params.weight_bound, params.design.reach
        low, high = params.design.linear_bounds(np.array(params.coefficients))
        most = 1 + max(abs(low), abs(high))
        squared = params.loss == "squared-hinge"
        second = cross_bounds(reach, 2 * weight) if squared else ()
        with np.errstate(over="ignore"):  # a layout refuses infinite bounds
            gradient = tuple((weight * (2 * most if squared else 1.0) * reach).tolist())
        return Layout(
            (
                Block("rows", (), limit, exact=True),
                Block("active", (), limit, exact=True, few="rounded"),
                Block("loss", (), weight * (most * most if squared else most)),
                Block("gradient", (len(reach),), gradient),
                Block("curvature", (len(second),), second if squared else 1.0),
                Block("outside", (len(params.columns),), limit, exact=True, few="rounded"),
            )
        )

    def compute(self, params: HingeParams, columns: Columns) -> Arrays:
        coded, w = params.design.coded(columns), params.weights(columns)
        s, h = params.margins(coded, columns)
        active = h > 0
        squared = params.loss == "squared-hinge"
        return {
            "rows": np.array(len(w), np.float64),
            "active": np.array(np.count_nonzero(active), np.float64),
            "loss": w @ (h * h if squared else h),
            "gradient": -(coded.z @ (w * s * (2 * h if squared else active))),
            "curvature": cross_sums(coded.z, 2 * w * s * s * active) if squared else np.zeros(0),
            "outside": params.outside(coded, columns),
        }

    def support(self, params: HingeParams, columns: Columns) -> Support:
        w, (_, h) = params.weights(columns), params.margins(params.design.coded(columns), columns)
        in_margin = Support.of(np.array([h > 0]), w * np.array([h, h * h]))
        return params.support(columns, w * np.array([np.ones_like(w), h > 0, h])).beside(in_margin)

    def persons(self, params: HingeParams, columns: Columns) -> int:
        return params.design.persons(columns)

    def parameters(self, params: HingeParams) -> int:
        return len(params.design.names)

    def disclosure(self, params: HingeParams) -> Disclosure:
        return of_model(
            f"Loss and gradient of a linear support vector machine for {params.outcome.names[0]} by "
            f"{', '.join(params.design.names)} at given coefficients, over the complete rows of all sites that meet "
            "the filter, and how many of them are within the margin or beyond, which chosen coefficients can make few.",
            blocks=("rows", "active", "loss", "gradient", "curvature", "outside"),
        )
