"""The common base of regression results: estimates, their uncertainty, and a table."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from participant.analyses.base.result import AnalysisResult
from participant.statistics.language.layout import Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoefficientResult(AnalysisResult, ABC):
    """A fitted regression. Arrays are (p,) float64 in the order of `names`.

    Attributes:
        names: names of the covariates; ``1`` is the intercept, if there is one.
        coef, se, covariance: estimates, standard errors, (p, p) covariance.
        p: two-sided p-values.
        lower, upper: 95 % confidence interval of the column `drawn`: the coefficient, or the ratio exp(coefficient).
        rows: number of rows across all sites.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    names: tuple[str, ...]
    coef: Array
    se: Array
    covariance: Array
    p: Array
    lower: Array
    upper: Array
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    @abstractmethod
    def columns(self) -> Mapping[str, Array]:
        """Return the table's columns other than the names, each (p,)."""

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each covariate, as plain numbers; None for NaN."""
        columns = self.columns()
        return [
            {"name": name} | {key: known(float(column[i])) for key, column in columns.items()}
            for i, name in enumerate(self.names)
        ]


def known(value: float) -> float | None:
    """Return a number, or None for NaN."""
    return None if isnan(value) else value


def p_text(p: float | None) -> str | None:
    """Format a p-value for summaries; None stays None."""
    return None if p is None else f"{p:.3g}"
