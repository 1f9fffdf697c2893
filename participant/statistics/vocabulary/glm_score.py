"""Score and information of a generalised linear model at given coefficients: a step of Fisher scoring.

With z the covariates of a design, y the outcome, o an offset and w a weight (by default 0 and 1),
eta = coefficients . z + o, and pull, weight, deviance, pearson and own as in `families`, over the complete rows:

    rows        = n                          ()      whole number
    weights     = sum of w                   ()
    score       = sum of w pull z            (p,)
    information = sum of w weight z z'       (q,)    upper triangle by rows, q = p (p + 1) / 2
    deviance    = sum of w deviance          ()
    pearson     = sum of w pearson           ()
    own         = sum of w own               ()
    beyond      = rows with |eta| > limit    ()      whole number
    outside     = values outside their range or levels: of each column of the design, then of the outcome, the offset
                  and the weight, if there are any; whole numbers
    uncoded     = outcomes other than 0 and 1, for the binomial family; 0 if it has weights: then an outcome between is
                  the share of trials that succeeded     ()      whole number

A row of weight 0 is left out, as if it were missing: it counts nowhere.

The log-likelihood with dispersion 1 is own - deviance / 2 (binomial, Poisson, negative binomial). Bounds: as in
`cox_risk_sets`, the corner of the declared ranges is far from every patient, so eta is clipped at `limit`, and the
affected rows are counted in `beyond`; the sums are the model's only if that count is zero.

Source: McCullagh, Nelder 1989, "Generalized Linear Models", section 2.5; Wu et al. 2012, J Am Med Inform Assoc 19:758,
for sums over sites.
"""

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, model_validator

from participant.statistics.language.disclosure import Disclosure, of_model
from participant.statistics.language.from_sums import FROM_SUMS
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.statistic import Columns, Statistic
from participant.statistics.language.support import Support
from participant.statistics.models.design import Numeric, cross_bounds, cross_sums
from participant.statistics.models.families import Family, FamilyName, Parts
from participant.statistics.models.model import LinearParams, other_than_binary, single
from participant.statistics.models.variables import Coded

MAX_LIMIT = 100.0  # its exponential is far beyond any mean


class GlmScoreParams(LinearParams):
    """The parameters of the sums, in addition to design and weight.

    Attributes:
        family: family of the outcome, with its link.
        alpha: overdispersion of the negative binomial, otherwise 0.
        outcome: outcome y, with a range that the family allows.
        offset: column added to the linear predictor, or None.
        limit: limit at which eta is clipped, in both directions.
    """

    family: FamilyName
    alpha: Annotated[FiniteFloat, Field(ge=0, le=1e6), FROM_SUMS]
    outcome: Numeric
    offset: Numeric | None
    limit: FiniteFloat = Field(gt=0, le=1e9)

    @model_validator(mode="after")
    def _check_family(self) -> Self:
        if (self.alpha > 0) != (self.family == "negative-binomial"):
            raise ValueError("alpha must be above 0 for the negative binomial, and 0 for all others")
        low, high = self.outcome.bounds
        least, largest = Family(self.family).range
        if low < least or high > largest or (self.family == "gamma" and low == 0):
            raise ValueError(f"the outcome's range {low:g} to {high:g} does not suit the {self.family} family")
        if self.family != "gaussian" and self.limit > MAX_LIMIT:
            raise ValueError(f"the limit must be at most {MAX_LIMIT:g}, except for the gaussian family")
        return self

    @property
    def beside(self) -> tuple[Numeric, ...]:
        return (self.outcome, *((self.offset,) if self.offset else ()), *super().beside)

    @property
    def is_binary(self) -> bool:
        """Whether the outcome is a class rather than a number or a share."""
        return self.family == "binomial" and self.weight is None

    @property
    def eta_bounds(self) -> tuple[float, float]:
        """Least and largest linear predictor, including the offset, inside the declared ranges and the limit."""
        low, high = self.design.linear_bounds(np.array(self.coefficients))
        if self.offset:
            least, most = self.offset.bounds
            low, high = low + least, high + most
        return max(min(low, self.limit), -self.limit), min(max(high, -self.limit), self.limit)

    def eta(self, coded: Coded, columns: Columns) -> Array:
        """Return the linear predictor, including the offset, (rows,)."""
        eta = self.linear(coded)
        return eta + single(self.offset, columns) if self.offset else eta

    def parts(self, eta: Array, columns: Columns) -> Parts:
        """Return the rows' contributions at these linear predictors, clipped at the limit."""
        inside = np.clip(eta, -self.limit, self.limit)
        return Family(self.family, self.alpha).parts(single(self.outcome, columns), inside)


class GlmScore(Statistic[GlmScoreParams]):
    """Score and information; the module's docstring describes the blocks."""

    name = "glm-score"
    version = 2
    Params = GlmScoreParams

    def columns(self, params: GlmScoreParams) -> tuple[str, ...]:
        return params.columns

    def layout(self, params: GlmScoreParams) -> Layout:
        limit, weight, reach = float(params.row_limit), params.weight_bound, params.design.reach
        part = Family(params.family, params.alpha).bounds(params.outcome.bounds, params.eta_bounds)
        with np.errstate(over="ignore"):  # a layout refuses infinite bounds
            score = tuple((weight * float(part.pull) * reach).tolist())
            second = cross_bounds(reach, weight * float(part.weight))
            sums = {name: weight * float(getattr(part, name)) for name in ("deviance", "pearson", "own")}
        return Layout(
            (
                Block("rows", (), limit, exact=True),
                Block("weights", (), weight),
                Block("score", (len(reach),), score),
                Block("information", (len(second),), second),
                *(Block(name, (), bound or 1.0) for name, bound in sums.items()),  # an entry whose bound is 0 is 0
                Block("beyond", (), limit, exact=True, few="some"),
                Block("outside", (len(params.columns),), limit, exact=True, few="rounded"),
                Block("uncoded", (), limit, exact=True, few="some"),
            )
        )

    def usable(self, params: GlmScoreParams, columns: Columns) -> NDArray[np.bool_]:
        there = super().usable(params, columns)
        return there & (single(params.weight, columns) > 0) if params.weight else there

    def compute(self, params: GlmScoreParams, columns: Columns) -> Arrays:
        coded, w = params.design.coded(columns), params.weights(columns)
        eta = params.eta(coded, columns)
        part = params.parts(eta, columns)
        return {
            "rows": np.array(len(w), np.float64),
            "weights": w.sum(),
            "score": coded.z @ (w * part.pull),
            "information": cross_sums(coded.z, w * part.weight),
            "deviance": w @ part.deviance,
            "pearson": w @ part.pearson,
            "own": w @ part.own,
            "beyond": np.array(np.count_nonzero(np.abs(eta) > params.limit), np.float64),
            "outside": params.outside(coded, columns),
            "uncoded": np.array(other_than_binary(params.outcome, columns) if params.is_binary else 0.0),
        }

    def support(self, params: GlmScoreParams, columns: Columns) -> Support:
        w, part = params.weights(columns), params.parts(params.eta(params.design.coded(columns), columns), columns)
        of_fit = Support.of_sums(w * np.array([part.deviance, part.pearson, part.own]))
        return params.support(columns, w * np.array([np.ones_like(w), part.pull, part.weight])).beside(of_fit)

    def persons(self, params: GlmScoreParams, columns: Columns) -> int:
        return params.design.persons(columns)

    def parameters(self, params: GlmScoreParams) -> int:
        return len(params.design.names)

    def disclosure(self, params: GlmScoreParams) -> Disclosure:
        return of_model(
            f"Score, information and fit of a {params.family} model of {params.outcome.names[0]} by "
            f"{', '.join(params.design.names)} at given coefficients, over the complete rows of all sites that meet "
            "the filter. Several rounds at other coefficients disclose other weightings of the same rows.",
            blocks=(
                "rows",
                "weights",
                "score",
                "information",
                "deviance",
                "pearson",
                "own",
                "beyond",
                "outside",
                "uncoded",
            ),
        )
