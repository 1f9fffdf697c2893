"""Score and information of the proportional-odds model at given cuts and coefficients.

The outcome has levels 0 ... J, in the order of its definition. With F the logistic function, f = F (1 - F), z
the covariates of a design without an intercept, eta = coefficients . z, cuts c_1 < ... < c_J, and c_0 and c_{J+1}
infinite:

    P(y <= j) = F(c_{j+1} - eta),   l = sum of w log P,   P = F(u) - F(v),   u = c_{y+1} - eta,   v = c_y - eta

over the complete rows whose outcome is one of the levels:

    rows      = n                                       ()      whole number
    levels    = rows of each level                      (J+1,)  whole numbers
    log_likelihood = l                                  ()
    cut_score = dl / dc                                 (J,)
    score     = dl / d coefficients                     (p,)
    cut_cut   = -d2l / dc_j dc_j, then dc_j dc_{j+1}    (2J-1,)
    cut_cross = -d2l / dc d coefficients                (p, J)
    cross     = -d2l / d coefficients^2                 (q,)    upper triangle by rows, q = p (p + 1) / 2
    beyond    = rows with |eta| > limit, clipped there  ()      whole number
    outside   = values outside their range or levels: of each column of the design, of the weight; then rows with
                another outcome; whole numbers

Bounds: with g = 1 - exp(-(c_{j+1} - c_j)) for the closest two cuts, F(u) - F(v) = F(u) (1 - F(v)) (1 - exp(v - u))
gives f(u) / P <= 1 / g and f(v) / P <= 1 / g. The derivatives with respect to eta are 1 - F(u) - F(v) and f(u) + f(v).

Source: McCullagh 1980, J R Stat Soc B 42:109.
"""

from itertools import pairwise
from math import expm1, log
from typing import Annotated, Self

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from participant.statistics.language.disclosure import Disclosure, of_model
from participant.statistics.language.from_sums import FROM_SUMS
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.statistic import Columns, Statistic
from participant.statistics.language.support import Support, common
from participant.statistics.models.design import INTERCEPT, Category, cross_bounds, cross_sums
from participant.statistics.models.model import LinearParams
from participant.statistics.models.special import expit
from participant.statistics.vocabulary.glm_score import MAX_LIMIT

MAX_CUT = 100.0


class OrdinalScoreParams(LinearParams):
    """The parameters of the sums, in addition to design and weight.

    Attributes:
        outcome: outcome with its levels in order.
        cuts: ascending cuts, one fewer than levels.
        limit: limit at which eta is clipped, in both directions.
    """

    outcome: Category
    cuts: Annotated[tuple[Annotated[FiniteFloat, Field(ge=-MAX_CUT, le=MAX_CUT)], ...], Field(min_length=1), FROM_SUMS]
    limit: FiniteFloat = Field(gt=0, le=MAX_LIMIT)

    @model_validator(mode="after")
    def _check_cuts(self) -> Self:
        if len(self.cuts) != len(self.outcome.levels) - 1:
            raise ValueError("there must be one cut fewer than levels")
        if any(first >= second for first, second in pairwise(self.cuts)):
            raise ValueError("cuts must ascend")
        if INTERCEPT in self.design.terms:
            raise ValueError("the design must not have an intercept, as the cuts are the intercepts")
        return self

    @property
    def nearest(self) -> float:
        """The bound g: 1 - exp(-distance) for the closest two cuts."""
        return -expm1(-min((second - first for first, second in pairwise(self.cuts)), default=np.inf))

    @property
    def furthest(self) -> float:
        """The largest finite |u| or |v|."""
        low, high = self.design.linear_bounds(np.array(self.coefficients))
        return min(max(-low, high), self.limit) + max(abs(self.cuts[0]), abs(self.cuts[-1]))


class OrdinalScore(Statistic[OrdinalScoreParams]):
    """Score and information; the module's docstring describes the blocks."""

    name = "ordinal-score"
    version = 2
    Params = OrdinalScoreParams

    def columns(self, params: OrdinalScoreParams) -> tuple[str, ...]:
        return (*params.columns, params.outcome.column)

    def layout(self, params: OrdinalScoreParams) -> Layout:
        limit, weight, reach = float(params.row_limit), params.weight_bound, params.design.reach
        cuts, g = len(params.cuts), params.nearest
        second = cross_bounds(reach, weight / 2)
        # -log P <= -log F(u) - log (1 - F(v)) - log g, and -log F(u) <= |u| + log 2.
        smallest = 2 * (params.furthest + log(2)) - log(g)
        return Layout(
            (
                Block("rows", (), limit, exact=True),
                Block("levels", (cuts + 1,), limit, exact=True),
                Block("log_likelihood", (), weight * smallest),
                Block("cut_score", (cuts,), weight / g),
                Block("score", (len(reach),), tuple((weight * reach).tolist())),
                Block("cut_cut", (2 * cuts - 1,), weight * (1 / g**2 + 1 / g)),
                Block("cut_cross", (len(reach), cuts), tuple((weight / 4 * reach).tolist())),
                Block("cross", (len(second),), second),
                Block("beyond", (), limit, exact=True, few="some"),
                Block("outside", (len(params.columns) + 1,), limit, exact=True, few="rounded"),
            )
        )

    def compute(self, params: OrdinalScoreParams, columns: Columns) -> Arrays:
        cuts = len(params.cuts)
        level = params.outcome.index(columns)
        known = level <= cuts
        coded, w = params.design.coded(columns), np.where(known, params.weights(columns), 0.0)
        eta = params.linear(coded)
        inside = np.clip(eta, -params.limit, params.limit)
        y = np.where(known, level, 0)
        ends = np.concatenate([[-np.inf], params.cuts, [np.inf]])
        u, v = ends[y + 1] - inside, ends[y] - inside
        upper, lower = expit(u), expit(v)
        width = -np.expm1(ends[y] - ends[y + 1])
        a, b = expit(-u) / (expit(-v) * width), lower / (upper * width)  # f(u) / P and f(v) / P, without a difference
        fu, fv = upper * expit(-u), lower * expit(-v)

        def at_upper(values: Array) -> Array:
            """Return the sums over rows by upper cut; the last level has no upper cut."""
            return np.bincount(y, values, cuts + 1)[:cuts].astype(np.float64)

        def at_lower(values: Array) -> Array:
            return np.bincount(y, values, cuts + 1)[1:].astype(np.float64)

        diagonal = at_upper(w * (a * a - a * (1 - 2 * upper))) + at_lower(w * (b * b + b * (1 - 2 * lower)))
        return {
            "rows": np.array(len(w), np.float64),
            "levels": np.bincount(level, minlength=cuts + 2)[: cuts + 1].astype(np.float64),
            "log_likelihood": w @ (np.log(upper) + np.log(expit(-v)) + np.log(width)),
            "cut_score": at_upper(w * a) - at_lower(w * b),
            "score": coded.z @ (w * (upper + lower - 1)),
            "cut_cut": np.concatenate([diagonal, at_upper(-w * a * b)[1:]]),
            "cut_cross": np.array([at_upper(-w * fu * z) + at_lower(-w * fv * z) for z in coded.z]),
            "cross": cross_sums(coded.z, w * (fu + fv)),
            "beyond": np.array(np.count_nonzero(eta != inside), np.float64),
            "outside": np.append(params.outside(coded, columns), np.count_nonzero(~known)),
        }

    def support(self, params: OrdinalScoreParams, columns: Columns) -> Support:
        level = params.outcome.index(columns)
        of_levels = np.array([level == one for one in range(len(params.outcome.levels))])
        by_level = np.concatenate([of_levels, params.design.groups(columns)])
        found = params.support(columns, params.weights(columns)[np.newaxis])
        return found._replace(persons=np.concatenate([found.persons, common(by_level)]))

    def persons(self, params: OrdinalScoreParams, columns: Columns) -> int:
        return params.design.persons(columns)

    def parameters(self, params: OrdinalScoreParams) -> int:
        return len(params.design.names) + len(params.cuts)

    def disclosure(self, params: OrdinalScoreParams) -> Disclosure:
        return of_model(
            f"Score, information and fit of a proportional-odds model of {params.outcome.column} by "
            f"{', '.join(params.design.names)} at given cuts and coefficients, over the complete rows of all sites "
            "that meet the filter, and how many rows each level has.",
            blocks=("rows", "levels", "log_likelihood", "cut_score", "score", "cut_cut", "cut_cross", "cross"),
        )
