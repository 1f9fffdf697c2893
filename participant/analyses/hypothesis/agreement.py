"""Agreement of two ratings of the same patients: Cohen's kappa, and McNemar's and Bowker's tests of symmetry.

Both ratings have the same K levels. With shares p_ij of rows rated i first and j second, margins p_i. and p_.j, and
weights w_ij (1 on the diagonal and 0 elsewhere; ``linear``: 1 - |i - j| / (K - 1); ``quadratic``: 1 - its square):

    observed = sum of w_ij p_ij        expected = sum of w_ij p_i. p_.j
    kappa    = (observed - expected) / (1 - expected)         with Fleiss, Cohen and Everitt's standard errors
    symmetry = sum over i < j of (n_ij - n_ji)^2 / (n_ij + n_ji)       chi-square, one degree of freedom for each pair
               of levels that occurs; for two levels this is McNemar's test, also given with the exact binomial p-value

One round. Disclosure: that of `contingency`: a site with a cell of fewer than `minimum_persons` rows leaves out
its whole table; the result then covers the other sites, and a warning says so.

    analysis = "agreement"
    dataset = "lung"
    first = {column = "ph.karno", levels = [60, 70, 80, 90, 100]}
    second = {column = "pat.karno", levels = [60, 70, 80, 90, 100]}
    weights = "linear"
    minimum_persons = 1
    row_limit = 1000

Sources: Fleiss, Cohen, Everitt 1969, Psychol Bull 72:323; McNemar 1947, Psychometrika 12:153; Bowker 1948, J Am Stat
Assoc 43:572.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from participant.analyses.base.declared import levels_of, refusal, warn_of_other_codes
from participant.analyses.base.errors import NoRowsError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.sums.crosstab import cell_names
from participant.statistics.evaluation.registry import CONTINGENCY
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Category
from participant.statistics.models.special import chdtrc, ndtr, ndtri
from participant.statistics.vocabulary.contingency import ContingencyParams


class AgreementSpec(TableSpec):
    """The ratings `first` and `second` with the same levels, and the `weights` of kappa."""

    analysis: Literal["agreement"] = "agreement"
    single_sum: ClassVar[bool] = True
    first: Category
    second: Category
    weights: Literal["none", "linear", "quadratic"] = "none"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.first.levels != self.second.levels:
            raise ValueError(f"{self.first.column} and {self.second.column} must have the same levels, in one order")
        if self.first.column == self.second.column:
            raise ValueError("first and second must be two columns")
        return self

    async def analyse(self, secure_sum: SecureSum) -> "AgreementResult":
        """Run the analysis; raises the same errors as `agree`."""
        return await agree(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AgreementResult(AnalysisResult):
    """The agreement. `counts` is (K, K), for the levels that occur in either rating.

    Attributes:
        first_levels, second_levels: names of the levels.
        counts: number of rows with each pair of ratings.
        kappa, se, lower, upper: kappa, its standard error and 95 % interval.
        z, p: test of kappa against 0.
        observed, expected: weighted agreement, and that expected by chance.
        weights: weights of kappa.
        symmetry_statistic, df, symmetry_p: Bowker's statistic, degrees of freedom and p-value; None if all rows agree.
        exact_p: exact p-value of McNemar's test; None with more than two levels, or if all rows agree.
        rows: number of rows.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "agreement"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "rows": ".0f"}

    first_levels: tuple[str, ...]
    second_levels: tuple[str, ...]
    counts: Array
    kappa: float
    se: float
    lower: float
    upper: float
    z: float
    p: float
    observed: float
    expected: float
    weights: str
    symmetry_statistic: float | None
    df: int
    symmetry_p: float | None
    exact_p: float | None
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each pair of ratings."""
        names = cell_names(self.first_levels, self.second_levels)
        return [{"name": name, "rows": float(count)} for name, count in zip(names, self.counts.flat, strict=True)]

    @property
    def title(self) -> str:
        return "Agreement of two ratings"

    def facts(self) -> dict[str, Any]:
        return {
            "Rows": self.rows,
            "Weights": self.weights,
            "Observed agreement": self.observed,
            "Expected agreement": self.expected,
            "Kappa": self.kappa,
            "95 % interval": f"{self.lower:.4f} to {self.upper:.4f}",
            "P of kappa": f"{self.p:.3g}",
            "Symmetry": self.symmetry_statistic,
            "Degrees of freedom": self.df,
            "P of symmetry": None if self.symmetry_p is None else f"{self.symmetry_p:.3g}",
            "Exact p of symmetry": None if self.exact_p is None else f"{self.exact_p:.3g}",
        }


async def agree(spec: AgreementSpec, secure_sum: SecureSum) -> AgreementResult:
    """Assess the agreement that `spec` describes.

    Raises:
        NoRowsError: there are no rows, or all have one level in both ratings.
    """
    params = ContingencyParams(by=(spec.first, spec.second), row_limit=spec.row_limit)
    answer = await secure_sum(spec.ask(CONTINGENCY, params, secure_sum.value_bits))
    every = answer.values["counts"][:-1, :-1]
    both = (spec.first, spec.second)
    warnings = [*spec.warn_of_withheld(answer.values), *warn_of_other_codes(both, answer.values["counts"])]
    if not every.any():
        raise refusal("across all sites, no row meets the filter and has both values", warnings)
    there = np.flatnonzero(every.sum(axis=0) + every.sum(axis=1))
    if len(there) < 2:
        raise NoRowsError("all rows have one level in both ratings, so there is no agreement beyond chance to assess")
    counts = every[np.ix_(there, there)]
    n, weights = float(counts.sum()), _weights(spec, there)
    share = counts / n
    one, two = share.sum(axis=1), share.sum(axis=0)
    observed, expected = float((weights * share).sum()), float(one @ weights @ two)
    kappa = (observed - expected) / (1 - expected)
    means = (weights @ two)[:, np.newaxis] + one @ weights
    inner = (share * (weights * (1 - expected) - means * (1 - observed)) ** 2).sum()
    se = sqrt(max(inner - (observed * expected - 2 * expected + observed) ** 2, 0.0) / n) / (1 - expected) ** 2
    null = sqrt(float((np.outer(one, two) * (weights - means) ** 2).sum() - expected**2) / n) / (1 - expected)
    margin = float(ndtri(0.975)) * se
    symmetry, df, symmetry_p, exact_p = _symmetry(counts)
    return AgreementResult(
        first_levels=tuple(levels_of(spec.first)[place] for place in there),
        second_levels=tuple(levels_of(spec.second)[place] for place in there),
        counts=counts,
        kappa=kappa,
        se=se,
        lower=kappa - margin,
        upper=min(kappa + margin, 1.0),
        z=kappa / null,
        p=float(2 * ndtr(-abs(kappa / null))),
        observed=observed,
        expected=expected,
        weights=spec.weights,
        symmetry_statistic=symmetry,
        df=df,
        symmetry_p=symmetry_p,
        exact_p=exact_p,
        rows=round(n),
        sites=answer.sites,
        warnings=tuple(warnings),
    )


def _weights(spec: AgreementSpec, there: NDArray[np.intp]) -> Array:
    """Return the weights of the levels that occur, by their places among all declared ones."""
    if spec.weights == "none":
        return np.eye(len(there))
    apart = np.abs(np.subtract.outer(there, there)) / (len(spec.first.levels) - 1)
    weights: Array = 1 - (apart if spec.weights == "linear" else apart**2)
    return weights


def _symmetry(counts: Array) -> tuple[float | None, int, float | None, float | None]:
    """Return Bowker's statistic, its degrees of freedom and p-value, and the exact p-value for two levels."""
    upper = np.triu_indices(len(counts), 1)
    above, below = counts[upper], counts.T[upper]
    some = above + below > 0
    if not some.any():
        return None, 0, None, None
    statistic, df = float(((above - below)[some] ** 2 / (above + below)[some]).sum()), int(some.sum())
    exact = None
    if len(counts) == 2:
        from scipy.stats import binomtest  # noqa: PLC0415 - takes a second to load

        exact = float(binomtest(round(float(above[0])), round(float(above[0] + below[0]))).pvalue)
    return statistic, df, float(chdtrc(df, statistic)), exact
