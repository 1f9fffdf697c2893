"""Ridge regression on the rows of all sites, from their Gram matrix alone.

With the p covariates x and the outcome y centred at their means, over n rows, and a penalty a,

    b(a) = (X'X + a 1)^-1 X'y          minimises |y - X b|^2 + a |b|^2, as scikit-learn's Ridge does

From the eigenvalues d^2 of X'X,

    df(a)  = 1 + sum of d^2 / (d^2 + a)                      the effective number of parameters
    gcv(a) = (RSS / n) / (1 - df / n)^2                      generalised cross-validation

By default, 100 penalties are tried, equally spaced on a logarithmic scale, from 1e-6 to 1e3 times the largest
eigenvalue; the one with the least gcv is `best`. There are no standard errors: a ridge estimate is biased on
purpose, and an interval that ignores the bias would mislead.

One round (three if ranges must be found); nothing iterates. Disclosure: that of
`participant.statistics.vocabulary.gram`; the sums do not depend on the penalty, so a path costs and discloses no more
than one fit.

    analysis = "ridge"
    dataset = "lung"
    formula = "ph.karno ~ age + wt.loss + sex"
    numbers = [
        {column = "ph.karno", low = 0, high = 100},
        {column = "age", low = 18, high = 100},
        {column = "wt.loss", low = -50, high = 100},
    ]
    categories = [{column = "sex", levels = [1, 2]}]
    row_limit = 1000

Sources: Hoerl, Kennard 1970, Technometrics 12:55; Golub, Heath, Wahba 1979, Technometrics 21:215.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.regression.penalised import PenalisedResult, PenalisedSpec, problem
from participant.statistics.language.layout import Array

PENALTIES = np.logspace(3, -6, 100)  # as multiples of the largest eigenvalue


class RidgeSpec(PenalisedSpec):
    """A model as a formula, and its penalties."""

    analysis: Literal["ridge"] = "ridge"

    async def analyse(self, secure_sum: SecureSum) -> "RidgeResult":
        """Run the analysis; raises the same errors as `fit_ridge`."""
        return await fit_ridge(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RidgeResult(PenalisedResult):
    """The fits, with these attributes in addition to those of every penalised model.

    Attributes:
        df, gcv: (k,) effective numbers of parameters, and generalised cross-validation.
        best: index of the penalty with the least gcv.
    """

    analysis: ClassVar[str] = "ridge"

    df: Array
    gcv: Array

    @property
    def title(self) -> str:
        return "Ridge regression"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Penalty": self.penalty,
            "Effective parameters": float(self.df[self.best]),
            "Intercept": self.intercept,
            "R-squared": float(self.r_squared[self.best]),
            "Penalties tried": len(self.penalties),
        }

    def notes(self) -> list[str]:
        return ["The penalty has the least generalised cross-validation of those tried."]


async def fit_ridge(spec: RidgeSpec, secure_sum: SecureSum) -> RidgeResult:
    """Fit the model that `spec` describes.

    Raises:
        SpecError: the formula is invalid, or has no covariates or no intercept.
        NoRowsError: across all sites, no row meets the filter and has all values.
        CollinearityError: the outcome or a covariate has the same value in all rows.
        PrecisionError: the sums are too coarse; the message says what helps.
    """
    least_squares = await problem(spec, secure_sum)
    values, vectors = np.linalg.eigh(least_squares.gram)
    penalties = np.array(sorted(spec.penalties, reverse=True)) if spec.penalties else PENALTIES * values[-1]
    shrunk = np.maximum(values, 0.0) + penalties[:, np.newaxis]
    scaled = (vectors.T @ least_squares.moment / shrunk) @ vectors.T
    residual = np.array([least_squares.residual(b) for b in scaled])
    df = 1 + (np.maximum(values, 0.0) / shrunk).sum(axis=1)
    rows = least_squares.rows
    with np.errstate(divide="ignore"):
        gcv = np.where(df < rows, residual / rows / (1 - df / rows) ** 2, np.inf)
    best = int(np.argmin(gcv))
    fits = [least_squares.in_units(b) for b in scaled]
    warnings = list(least_squares.warnings)
    if not spec.penalties and best in {0, len(penalties) - 1}:
        warnings.append(f"the best penalty is the {'largest' if best == 0 else 'smallest'} of those tried")
    return RidgeResult(
        names=least_squares.names,
        penalties=penalties,
        path=np.array([coef for coef, _ in fits]),
        intercepts=np.array([intercept for _, intercept in fits]),
        df=df,
        r_squared=1 - residual / least_squares.square,
        gcv=gcv,
        best=best,
        coef=fits[best][0],
        intercept=fits[best][1],
        penalty=float(penalties[best]),
        standardised=np.array(scaled),
        rows=rows,
        sites=least_squares.sites,
        warnings=tuple(warnings),
    )
