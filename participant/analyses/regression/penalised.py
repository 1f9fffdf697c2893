"""The common base of ridge and lasso: a linear model by formula with penalised coefficients, from one Gram matrix.

The covariates are centred at their pooled means, and the intercept is not penalised. By default, the covariates are
divided by their pooled standard deviations (divisor n), so that the penalty treats all units alike; coefficients are
always reported in the covariates' units.
"""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, FiniteFloat

from participant.analyses.base.errors import NoRowsError, SpecError
from participant.analyses.base.formulas import FormulaSpec
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.sums.second_moments import second_moments
from participant.statistics.language.layout import Array
from participant.statistics.models.design import INTERCEPT, Design

MAX_PENALTIES = 1000


class PenalisedSpec(FormulaSpec, ABC):
    """A linear model as a formula.

    Attributes:
        penalties: penalties to fit; empty for a path derived from the data.
        standardise: whether to divide covariates by their standard deviations.
    """

    penalties: Annotated[tuple[Annotated[FiniteFloat, Field(gt=0)], ...], Field(max_length=MAX_PENALTIES)] = ()
    standardise: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PenalisedResult(AnalysisResult, ABC):
    """The fits for k descending penalties.

    Attributes:
        names: names of the p covariates.
        penalties: (k,) penalties.
        path: (k, p) coefficients in the units of the covariates.
        intercepts, r_squared: (k,) intercepts and shares of the variance explained.
        best: index of the chosen penalty.
        coef, intercept, penalty: values for that penalty.
        standardised: (k, p) path in standardised covariates, if they were standardised.
        rows: number of rows across all sites.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    formats: ClassVar[Mapping[str, str]] = {"name": "", "coef": ".6g", "standardised": ".6g"}

    names: tuple[str, ...]
    penalties: Array
    path: Array
    intercepts: Array
    r_squared: Array
    best: int
    coef: Array
    intercept: float
    penalty: float
    standardised: Array
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each covariate, at the best penalty."""
        return [
            {"name": name, "coef": float(self.coef[i]), "standardised": float(self.standardised[self.best, i])}
            for i, name in enumerate(self.names)
        ]


class PenalisedProblem(NamedTuple):
    """A centred and scaled least-squares problem with n rows and p covariates x.

    Attributes:
        names: names of the covariates.
        rows: number of rows n.
        gram, moment: (p, p) sums of x x', (p,) sums of x y.
        square: sum of y^2.
        scale: (p,) divisors of x.
        x_mean, y_mean: (p,) means of the covariates in their own units, and mean of the outcome.
        sites, warnings: sites and warnings of the sums.
    """

    names: tuple[str, ...]
    rows: int
    gram: Array
    moment: Array
    square: float
    scale: Array
    x_mean: Array
    y_mean: float
    sites: tuple[str, ...]
    warnings: list[str]

    def residual(self, b: Array) -> float:
        """Return the sum of squared residuals at scaled coefficients."""
        return max(self.square - 2 * float(b @ self.moment) + float(b @ self.gram @ b), 0.0)

    def in_units(self, b: Array) -> tuple[Array, float]:
        """Return the coefficients in the covariates' units, and the intercept."""
        coef = b / self.scale
        return coef, self.y_mean - float(coef @ self.x_mean)


async def problem(spec: PenalisedSpec, secure_sum: SecureSum) -> PenalisedProblem:
    """Return the least-squares problem of a specification; raises the same errors as `second_moments`.

    Raises:
        SpecError: the formula is invalid, or has no covariates or no intercept.
        NoRowsError: there are fewer than two rows.
    """
    outcome, design = spec.model()
    terms = tuple(term for term in design.terms if term != INTERCEPT)
    if not terms or INTERCEPT not in design.terms:
        raise SpecError("a penalised model needs covariates, and must keep its intercept")
    moments = await second_moments(spec, Design(terms=((outcome,), *terms)), secure_sum)
    if moments.rows < 2:
        raise NoRowsError("a penalised model needs at least two rows across all sites")
    scale = moments.sd[1:] if spec.standardise else np.ones(len(moments.mean) - 1)
    return PenalisedProblem(
        names=moments.names[1:],
        rows=moments.rows,
        gram=moments.cross[1:, 1:] / np.outer(scale, scale),
        moment=moments.cross[1:, 0] / scale,
        square=float(moments.cross[0, 0]),
        scale=scale,
        x_mean=moments.mean[1:],
        y_mean=float(moments.mean[0]),
        sites=moments.sites,
        warnings=moments.warnings,
    )
