"""Pairwise Pearson correlations of several variables.

With the sums of squares and products S about the means, over the n rows that have all the variables:

    r        = S_xy / sqrt(S_xx S_yy)
    t        = r sqrt((n - 2) / (1 - r^2))          df = n - 2; two-sided p-value
    interval = tanh(atanh r +- 1.96 / sqrt(n - 3))  95 %, Fisher's transformation; none for three rows or fewer

The sums cover all rows of all sites, so these are the pooled correlations, which include differences between sites.

One round of `gram` (two more if ranges must be found); nothing iterates. Disclosure: that of `gram`. A site with
fewer than `minimum_persons` rows, or fewer than three for each variable, sends zeros.

    analysis = "correlation"
    dataset = "lung"
    variables = [
        {column = "age", low = 18, high = 100},
        {column = "wt.loss", low = -50, high = 100},
        {column = "meal.cal", low = 0, high = 5000},
    ]
    minimum_persons = 1
    row_limit = 1000

Sources: Pearson 1895, Proc R Soc 58:240; Fisher 1921, Metron 1:3, for the interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, sqrt
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field

from participant.analyses.base.declared import refusal, warn_of_outside
from participant.analyses.base.errors import CollinearityError, too_coarse
from participant.analyses.base.ranged import ranged
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.spec import TableSpec
from participant.analyses.base.symmetric import symmetric
from participant.analyses.sums.group_moments import COARSE, DOUBLES, FINE, NOISE
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.registry import GRAM
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.model import ModelParams
from participant.statistics.models.special import ndtri, stdtr
from participant.statistics.models.variables import Variable, distinct


class CorrelationSpec(TableSpec):
    """Two or more `variables` with their declared ranges."""

    analysis: Literal["correlation"] = "correlation"
    variables: Annotated[tuple[Variable, ...], Field(min_length=2, max_length=100), AfterValidator(distinct)]

    async def analyse(self, secure_sum: SecureSum) -> "CorrelationResult":
        """Run the analysis; raises the same errors as `correlate`."""
        return await correlate(self, secure_sum)


class Pair(NamedTuple):
    """Two variables: their correlation, its 95 % interval if there are enough rows, t and p."""

    name: str
    r: float
    lower: float | None
    upper: float | None
    t: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CorrelationResult(AnalysisResult):
    """The correlations.

    Attributes:
        names: names of the v variables.
        r: (v, v) correlation matrix.
        pairs: all pairs of variables.
        rows: number of rows that have all the variables.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "correlation"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "r": ".4f",
        "t": ".3f",
        "p": ".3g",
        "lower": ".4f",
        "upper": ".4f",
    }
    drawn: ClassVar[str] = "r"

    names: tuple[str, ...]
    r: Array
    pairs: tuple[Pair, ...]
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each pair, as plain numbers."""
        return [pair._asdict() for pair in self.pairs]

    @property
    def title(self) -> str:
        return "Pearson's correlations"

    def facts(self) -> dict[str, Any]:
        return {"Rows": self.rows, "Degrees of freedom": self.rows - 2}


async def correlate(spec: CorrelationSpec, secure_sum: SecureSum) -> CorrelationResult:
    """Compute the correlations of the variables of `spec`.

    Raises:
        NoRowsError: fewer than three rows have all the variables.
        CollinearityError: a variable is constant.
        PrecisionError: the declared ranges make the sums too coarse.
    """
    scaled = []
    for one in spec.variables:  # scaled to the range from -1 to 1
        middle, half = one.low + (one.high - one.low) / 2, (one.high - one.low) / 2
        scaled.append(Numeric(**one.model_dump(), centre=middle, scale=half))
    return await correlations(spec, tuple(scaled), secure_sum)


async def correlations(
    spec: TableSpec, variables: tuple[Numeric, ...], secure_sum: SecureSum, spread: float = 0.0
) -> CorrelationResult:
    """Return the correlations of variables within -1 to 1.

    Args:
        spec: specification of the rows.
        variables: variables, each with a distinct column.
        secure_sum: sum over the sites.
        spread: a in the variance (1 + a r^2) / (n - 3) of Fisher's transformation.

    Raises the same errors as `correlate`.
    """
    terms = ((), *((one,) for one in variables))
    params = ModelParams(design=Design(terms=terms), weight=None, row_limit=spec.row_limit)
    names = params.design.columns
    query = spec.ask(GRAM, params, secure_sum.value_bits)
    found = _Squares.of(query, answer := await secure_sum(query))
    if found.rows and (found.quantised > FINE * np.diag(found.about_means)).any():
        query, answer = await ranged(query, secure_sum)
        found = _Squares.of(query, answer)
    warnings = [
        *spec.warn_of_withheld(answer.values, of_model=True),
        *warn_of_outside(names, answer.values["outside"]),
    ]
    if found.rows < 3:
        raise refusal(
            f"{found.rows} rows across all sites have all the variables; correlation needs at least three", warnings
        )
    found.check(names)
    squares = np.diag(found.about_means)
    r: Array = np.clip(found.about_means / np.sqrt(np.outer(squares, squares)), -1, 1)
    np.fill_diagonal(r, 1)
    return CorrelationResult(
        names=names,
        r=r,
        pairs=tuple(
            _pair(f"{names[i]}, {names[j]}", float(r[i, j]), found.rows, spread)
            for i in range(len(names))
            for j in range(i + 1, len(names))
        ),
        rows=found.rows,
        sites=answer.sites,
        warnings=tuple(warnings),
    )


class _Squares(NamedTuple):
    """Number of rows; sums of squares and products about the means, (v, v); error bounds of the squares, (v,)."""

    rows: int
    about_means: Array
    quantised: Array
    lost: Array

    @classmethod
    def of(cls, query: BoundQuery, answer: Sum) -> "_Squares":
        rows = round(float(answer.values["rows"]))
        size = len(query.params.design.names)
        gram = symmetric(answer.values["gram"], size)
        steps = symmetric(query.steps["gram"], size)
        n, s = max(rows, 1), gram[0, 1:]
        second = np.diag(gram)[1:]
        quantised = len(answer.sites) / 2 * (np.diag(steps)[1:] + 2 * np.abs(s) / n * steps[0, 1:])
        return cls(rows, gram[1:, 1:] - np.outer(s, s) / n, quantised, quantised + DOUBLES * (second + s * s / n))

    def check(self, names: tuple[str, ...]) -> None:
        squares = np.diag(self.about_means)
        constant = [name for name, flat in zip(names, squares <= NOISE * self.lost, strict=True) if flat]
        if constant:
            raise CollinearityError(constant, "constant, or varies too little for its declared range")
        if (self.lost > COARSE * squares).any():
            raise too_coarse(f"the spread of {', '.join(names)} is lost within the much wider declared ranges")


def _pair(name: str, r: float, rows: int, spread: float) -> Pair:
    rest = 1 - r * r
    t = r * sqrt((rows - 2) / rest) if rest > 0 else inf * r
    margin = float(ndtri(0.975)) * sqrt((1 + spread * r * r) / (rows - 3)) if rows > 3 else None
    z = float(np.arctanh(r)) if rest > 0 else inf * r
    lower, upper = (None, None) if margin is None else (float(np.tanh(z - margin)), float(np.tanh(z + margin)))
    return Pair(name, r, lower, upper, t, float(2 * stdtr(rows - 2, -abs(t))))
