"""What ridge and lasso have in common: a linear model by formula, its coefficients penalised, from one Gram matrix.

The covariates are taken in deviations from their pooled means, the intercept is not penalised, and by default they are
divided by their pooled standard deviations (n as divisor), so that the penalty treats all units alike; coefficients are
told in the units of the covariates in any case.
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
        penalties: to fit at; empty for a path that is found from the data.
        standardise: whether covariates are divided by their standard deviations.
    """

    penalties: Annotated[tuple[Annotated[FiniteFloat, Field(gt=0)], ...], Field(max_length=MAX_PENALTIES)] = ()
    standardise: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PenalisedResult(AnalysisResult, ABC):
    """The fits, for k penalties, descending.

    Attributes:
        names: the p covariates.
        penalties: (k,).
        path: (k, p) coefficients in the units of the covariates.
        intercepts, r_squared: (k,).
        best: place of the penalty that is chosen.
        coef, intercept, penalty: of that one.
        standardised: (k, p) the path for covariates divided by their standard deviations, where they were.
        rows: over all sites.
        sites: whose rows are in the fit.
        warnings: what a reader of the result should know.
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
    """Least squares in deviations from the means, of n rows and p covariates x, scaled.

    Attributes:
        names: the covariates.
        rows: n.
        gram, moment: (p, p) sums of x x', (p,) sums of x y.
        square: sum of y^2.
        scale: (p,) by which x was divided.
        x_mean, y_mean: (p,) of the covariates in their own units, and of the outcome.
        sites, warnings: of the sums.
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
        """Return coefficients in the units of the covariates, and the intercept."""
        coef = b / self.scale
        return coef, self.y_mean - float(coef @ self.x_mean)


async def problem(spec: PenalisedSpec, secure_sum: SecureSum) -> PenalisedProblem:
    """Return the least-squares problem of a specification; raises as `second_moments`.

    Raises:
        SpecError: the formula is wrong, or has no covariates or no intercept.
        NoRowsError: there are fewer than two rows.
    """
    outcome, design = spec.model()
    terms = tuple(term for term in design.terms if term != INTERCEPT)
    if not terms or INTERCEPT not in design.terms:
        raise SpecError("a penalised model has covariates, and its intercept stays in")
    moments = await second_moments(spec, Design(terms=((outcome,), *terms)), secure_sum)
    if moments.rows < 2:
        raise NoRowsError("one row over all sites is not enough")
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
