"""The lasso on the rows of all sites, from their Gram matrix alone.

With the p covariates x and the outcome y centred at their means, over n rows, and a penalty a,

    b(a) minimises |y - X b|^2 / (2 n) + a |b|_1                   as scikit-learn's Lasso does

for each penalty by coordinate descent on X'X and X'y, starting from the solution for the next larger one. With G = X'X
/ n and c = X'y / n, one step is

    b_j <- S(c_j - sum over k != j of G_jk b_k, a) / G_jj,         S(v, a) = sign(v) max(|v| - a, 0)

Convergence: descent ends when no coefficient moves by more than 1e-10 of the largest one; then the nonzero coefficients
are solved for exactly, b_A = G_AA^-1 (c_A - a sign b_A), and accepted if signs and optimality conditions
hold.

By default there are 100 penalties, equally spaced on a logarithmic scale, from the smallest at which all coefficients
are zero, down to a thousandth of it. The penalty with the least

    bic(a) = n log(2 pi v) + RSS / v + log(n) k

is `best`, with k the number of nonzero coefficients and v the residual variance of least squares. There are no standard
errors: any that ignored the selection of covariates would be too small.

One round (three if ranges must be found). Disclosure: that of `participant.statistics.vocabulary.gram`; the sums do
not depend on the penalty, so a path costs and discloses no more than one fit.

    analysis = "lasso"
    dataset = "lung"
    formula = "ph.karno ~ age + wt.loss + sex"
    numbers = [
        {column = "ph.karno", low = 0, high = 100},
        {column = "age", low = 18, high = 100},
        {column = "wt.loss", low = -50, high = 100},
    ]
    categories = [{column = "sex", levels = [1, 2]}]
    row_limit = 1000

Sources: Tibshirani 1996, J R Stat Soc B 58:267; Friedman, Hastie, Tibshirani 2010, J Stat Softw 33:1; Zou, Hastie,
Tibshirani 2007, Ann Stat 35:2173, for bic.
"""

from dataclasses import dataclass
from math import log, pi
from typing import Any, ClassVar, Literal

import numpy as np

from participant.analyses.base.errors import ConvergenceError
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.regression.penalised import PenalisedProblem, PenalisedResult, PenalisedSpec, problem
from participant.statistics.language.layout import Array

PENALTIES = np.logspace(0, -3, 100)  # as shares of the largest penalty
TOLERANCE = 1e-10  # largest last move, as a share of the largest coefficient
OPTIMAL = 1e-9  # share of the largest penalty by which an optimality condition may be missed
MAX_SWEEPS = 100_000


class LassoSpec(PenalisedSpec):
    """A model as a formula, and its penalties."""

    analysis: Literal["lasso"] = "lasso"

    async def analyse(self, secure_sum: SecureSum) -> "LassoResult":
        """Run the analysis; raises the same errors as `fit_lasso`."""
        return await fit_lasso(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LassoResult(PenalisedResult):
    """The path, with these attributes in addition to those of every penalised model.

    Attributes:
        nonzero, bic: (k,) number of nonzero coefficients, and criterion; bic is NaN if least squares has no unique
            solution.
        best: index of the penalty with the least bic; without bic, the last one.
    """

    analysis: ClassVar[str] = "lasso"

    nonzero: Array
    bic: Array

    @property
    def title(self) -> str:
        return "Lasso"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Penalty": self.penalty,
            "Covariates left in": int(self.nonzero[self.best]),
            "Intercept": self.intercept,
            "R-squared": float(self.r_squared[self.best]),
            "Penalties tried": len(self.penalties),
        }

    def notes(self) -> list[str]:
        return ["The penalty has the least BIC of those tried."] if np.isfinite(self.bic).any() else []


async def fit_lasso(spec: LassoSpec, secure_sum: SecureSum) -> LassoResult:
    """Fit the path that `spec` describes.

    Raises:
        SpecError: the formula is invalid, or has no covariates or no intercept.
        NoRowsError: across all sites, no row meets the filter and has all values.
        CollinearityError: the outcome or a covariate has the same value in all rows.
        ConvergenceError: coordinate descent did not converge.
        PrecisionError: the sums are too coarse; the message says what helps.
    """
    least_squares = await problem(spec, secure_sum)
    gram, moment = least_squares.gram / least_squares.rows, least_squares.moment / least_squares.rows
    largest = float(np.abs(moment).max())
    penalties = np.array(sorted(spec.penalties, reverse=True)) if spec.penalties else PENALTIES * largest
    scaled, b = [], np.zeros(len(moment))
    for penalty in penalties:
        b = _descended(gram, moment, float(penalty), b, largest)
        scaled.append(b)
    residual = np.array([least_squares.residual(b) for b in scaled])
    nonzero = np.array([np.count_nonzero(b) for b in scaled])
    bic = _bic(least_squares, residual, nonzero)
    best = int(np.nanargmin(bic)) if np.isfinite(bic).any() else len(penalties) - 1
    fits = [least_squares.in_units(b) for b in scaled]
    warnings = list(least_squares.warnings)
    if not np.isfinite(bic).any():
        warnings.append("the rows cannot identify all covariates: there is no BIC, and the last penalty is shown")
    return LassoResult(
        names=least_squares.names,
        penalties=penalties,
        path=np.array([coef for coef, _ in fits]),
        intercepts=np.array([intercept for _, intercept in fits]),
        nonzero=nonzero,
        r_squared=1 - residual / least_squares.square,
        bic=bic,
        best=best,
        coef=fits[best][0],
        intercept=fits[best][1],
        penalty=float(penalties[best]),
        standardised=np.array(scaled),
        rows=least_squares.rows,
        sites=least_squares.sites,
        warnings=tuple(warnings),
    )


def _descended(gram: Array, moment: Array, penalty: float, start: Array, largest: float) -> Array:
    """Return the solution for a penalty, (p,), starting from that for another one."""
    b = start.copy()
    gradient = moment - gram @ b
    for _ in range(MAX_SWEEPS):
        furthest = 0.0
        for j in range(len(b)):
            pull = gradient[j] + gram[j, j] * b[j]
            new = np.sign(pull) * max(abs(pull) - penalty, 0.0) / gram[j, j]
            if new != b[j]:
                gradient -= gram[:, j] * (new - b[j])
                furthest = max(furthest, abs(new - b[j]))
                b[j] = new
        if furthest <= TOLERANCE * np.abs(b).max(initial=0.0):
            return _solved(gram, moment, penalty, b, largest)
    raise ConvergenceError(
        f"no convergence in {MAX_SWEEPS} sweeps of coordinate descent; covariates may be nearly collinear"
    )


def _solved(gram: Array, moment: Array, penalty: float, b: Array, largest: float) -> Array:
    """Return the exact solution with the signs of `b`, or `b` itself if that solution has other signs."""
    kept = np.flatnonzero(b)
    exact = np.zeros(len(b))
    try:
        exact[kept] = np.linalg.solve(gram[np.ix_(kept, kept)], moment[kept] - penalty * np.sign(b[kept]))
    except np.linalg.LinAlgError:
        return b
    excess = np.abs(moment - gram @ exact).max(initial=0.0) - penalty
    return exact if (np.sign(exact) == np.sign(b)).all() and excess <= OPTIMAL * largest else b


def _bic(least_squares: PenalisedProblem, residual: Array, nonzero: Array) -> Array:
    """Return the bic of each penalty, (k,), using the residual variance of least squares."""
    rows, p = least_squares.rows, len(least_squares.names)
    if rows <= p + 1 or np.linalg.matrix_rank(least_squares.gram, hermitian=True) < p:
        return np.full(len(residual), np.nan)
    solution: Array = np.linalg.solve(least_squares.gram, least_squares.moment).astype(np.float64)
    variance = least_squares.residual(solution) / (rows - p - 1)
    if variance <= 0:
        return np.full(len(residual), np.nan)
    return rows * log(2 * pi * variance) + residual / variance + log(rows) * nonzero
