"""Number of rows, mean and sum of squares about the mean, for variables or for cells of categories, from secure sums.

With sums s of x - m and q of (x - m)^2 over n rows, where m is the middle of the declared range:

    mean    = m + s / n
    squares = q - s^2 / n         sum of squares about the mean

The difference loses digits if the mean is far from the middle compared with the spread. The loss is bounded: squares
within ten times the bound count as zero, so that a constant is recognised as such, and squares with fewer than seven
remaining digits are refused. If the fixed-point encoding would lose digits, a round of `ranges` first makes the sums
more precise.

Source: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", on shifted data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from participant.analyses.base.declared import refusal, warn_of_other_codes, warn_of_outside
from participant.analyses.base.errors import too_coarse
from participant.analyses.base.ranged import ranged
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.registry import CLASS_MOMENTS, GRAM, MOMENTS
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Category, Design, Numeric
from participant.statistics.models.model import ModelParams
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.class_moments import ClassMomentsParams
from participant.statistics.vocabulary.moments import MomentsParams

DOUBLES = 2e-15  # loss of sums of doubles, relative to their terms
FINE = 1e-9  # share of the squares that the fixed point may lose before a round of ranges
COARSE = 1e-7  # largest share of the squares that may be lost
NOISE = 10.0  # multiple of the possible loss; smaller squares count as zero


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupMoments:
    """Moments by variable or by cell; arrays have one entry for each.

    Attributes:
        rows: numbers of rows.
        means: means; NaN without rows.
        squares: sums of squares about the mean; 0 if all values are equal.
        quantised, lost: bounds on the error of `squares`: from the fixed point alone, and from doubles as well.
        of_cells: whether the entries are cells of one variable rather than variables.
        sites: names of the contributing sites.
        warnings: warnings about rows missing from the sums, and clipped values.
    """

    rows: Array
    means: Array
    squares: Array
    quantised: Array
    lost: Array
    of_cells: bool
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def exceeds(self, lost: Array, share: float) -> bool:
        """Return whether more than `share` of the squares is lost, for some variable or for all cells together."""
        if self.of_cells:
            return bool(lost.sum() > share * self.squares.sum())
        return bool((lost > share * self.squares).any())

    @property
    def sd(self) -> Array:
        """Standard deviations; NaN for fewer than two rows."""
        return np.sqrt(np.where(self.rows > 1, self.squares, np.nan) / np.maximum(self.rows - 1, 1))


async def moments_of(
    spec: TableSpec, secure_sum: SecureSum, variables: tuple[Variable, ...], complete: tuple[str, ...] = ()
) -> GroupMoments:
    """Return the moments of variables over the rows complete in all of them and in `complete`.

    Raises:
        NoRowsError: there are no rows.
        PrecisionError: the declared ranges make the sums too coarse.
    """
    params = MomentsParams(variables=variables, row_limit=spec.row_limit)
    names = tuple(variable.column for variable in variables)

    def read(query: BoundQuery, answer: Sum) -> GroupMoments:
        values, steps = answer.values, query.steps
        rows = np.full(len(variables), float(values["rows"]))
        warnings = [*spec.warn_of_withheld(values), *warn_of_outside(names, values["outside"])]
        sums = _Sums(rows, values["sums"], values["squares"], values["squares"], steps["sums"], steps["squares"])
        return sums.moments(params.middles, answer.sites, warnings)

    return await _found(spec.ask(MOMENTS, params, secure_sum.value_bits, complete=complete), secure_sum, names, read)


async def class_moments_of(
    spec: TableSpec, secure_sum: SecureSum, by: tuple[Category, ...], variable: Variable
) -> GroupMoments:
    """Return the moments of a variable in the cells of categories, in the shape of their levels.

    Raises the same errors as `moments_of`.
    """
    outcome = Numeric(**variable.model_dump())
    params = ClassMomentsParams(by=by, variables=(outcome,), dominance=1.0, row_limit=spec.row_limit)
    levels = tuple(slice(len(category.levels)) for category in by)

    def read(query: BoundQuery, answer: Sum) -> GroupMoments:
        values, steps = answer.values, query.steps
        warnings = [
            *spec.warn_of_withheld(values),
            *warn_of_outside((variable.column,), values["outside"]),
            *warn_of_other_codes(by, values["counts"]),
        ]
        rows, first, second = values["counts"][levels], values["sums"][0][levels], values["squares"][0][levels]
        sums = _Sums(rows, first, second, second, steps["sums"][0][levels], steps["squares"][0][levels])
        return sums.moments(params.middles[0], answer.sites, warnings, of_cells=True)

    return await _found(spec.ask(CLASS_MOMENTS, params, secure_sum.value_bits), secure_sum, (variable.column,), read)


async def difference_of(spec: TableSpec, secure_sum: SecureSum, x: Variable, y: Variable) -> GroupMoments:
    """Return the moments of x - y, row by row, over the rows that have both; arrays are (1,).

    Raises the same errors as `moments_of`.
    """
    middles = [one.low + (one.high - one.low) / 2 for one in (x, y)]
    pair = [Numeric(**one.model_dump(), centre=middle) for one, middle in zip((x, y), middles, strict=True)]
    design = Design(terms=((), (pair[0],), (pair[1],)))
    params = ModelParams(design=design, weight=None, row_limit=spec.row_limit)

    def read(query: BoundQuery, answer: Sum) -> GroupMoments:
        values, step = answer.values, query.steps["gram"]
        _, sx, sy, xx, xy, yy = values["gram"][:, np.newaxis]
        warnings = [
            *spec.warn_of_withheld(values, of_model=True),
            *warn_of_outside(params.columns, values["outside"]),
        ]
        sums = _Sums(
            rows=np.array([float(values["rows"])]),
            first=sx - sy,
            second=xx - 2 * xy + yy,
            size=xx + 2 * np.abs(xy) + yy,
            first_step=step[1:2] + step[2:3],
            second_step=step[3:4] + 2 * step[4:5] + step[5:6],
        )
        return sums.moments(np.array([middles[0] - middles[1]]), answer.sites, warnings)

    names = (f"{x.column} - {y.column}",)
    return await _found(spec.ask(GRAM, params, secure_sum.value_bits), secure_sum, names, read)


class _Sums(NamedTuple):
    """First and second sums about the middle, the magnitude of the second sums' terms, and the steps of both sums."""

    rows: Array
    first: Array
    second: Array
    size: Array
    first_step: Array
    second_step: Array

    def moments(
        self, middles: Array, sites: tuple[str, ...], warnings: list[str], *, of_cells: bool = False
    ) -> GroupMoments:
        n, half = np.maximum(self.rows, 1), len(sites) / 2
        quantised = half * (self.second_step + 2 * np.abs(self.first / n) * self.first_step)
        lost = quantised + DOUBLES * (self.size + self.first**2 / n)
        squares = self.second - self.first**2 / n
        return GroupMoments(
            rows=self.rows,
            means=np.where(self.rows > 0, middles + self.first / n, np.nan),
            squares=np.where(squares > NOISE * lost, squares, 0.0),
            quantised=quantised,
            lost=lost,
            of_cells=of_cells,
            sites=sites,
            warnings=tuple(warnings),
        )


async def _found(
    query: BoundQuery, secure_sum: SecureSum, names: tuple[str, ...], read: Callable[[BoundQuery, Sum], GroupMoments]
) -> GroupMoments:
    found = read(query, await secure_sum(query))
    if found.rows.any() and found.exceeds(found.quantised, FINE):
        found = read(*await ranged(query, secure_sum))
    if not found.rows.any():
        raise refusal("across all sites, no row meets the filter and has all values", found.warnings)
    if found.squares.any() and found.exceeds(np.where(found.squares > 0, found.lost, 0.0), COARSE):
        raise too_coarse(f"the spread of {', '.join(names)} is lost within the much wider declared range")
    return found
