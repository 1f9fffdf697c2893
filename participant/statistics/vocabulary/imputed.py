"""Another statistic, over completed rows: the site imputes missing values by equations given in the query.

An incomplete column c has a start value and an equation: covariates z (of any columns, including incomplete ones) and a
family. First, all missing values get the start values. Draws d_1 ... d_T then cycle through the k equations; draw t,
for the equation c = t mod k, has coefficients b and a standard deviation s, and sets column c in the rows that lack it
to

    gaussian    b.z + s e,  clipped to the range of the column           e standard normal
    binomial    1 if u < expit(b.z), otherwise 0                         u uniform on (0, 1)

where `draws` derives e and u from the seed, t, the row's own values, and those of all complete rows: no two rows or
sites share them, and every query with these draws imputes a row in the same way. The inner statistic is computed on the
completed rows, or only on those in which the column `observed` was present. Besides its blocks:

    imputed = rows that lack each incomplete column    (k,)    whole numbers

Rows must have values in the other columns of `columns`. Sums for two chains of draws differ by a sum over rows with a
missing value. So if some of a site's rows lack a column, but fewer than the query's floor, the site does not impute
that column and leaves these rows out. The statistic is not exactly additive over rows, as a row's draws depend on the
site.

Sources: van Buuren, Groothuis-Oudshoorn 2011, J Stat Softw 45:3 (chained equations); Rubin 1987, section 5.3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from participant.statistics.language.conditions import Name, Strict
from participant.statistics.language.disclosure import Disclosure, Group, Reveals
from participant.statistics.language.draws import Words, drawn, uniform
from participant.statistics.language.from_sums import FROM_SUMS
from participant.statistics.language.inner import AroundParams, inner
from participant.statistics.language.layout import Array, Arrays, Block, Layout
from participant.statistics.language.query import MAX_COLUMNS
from participant.statistics.language.statistic import Columns, Statistic
from participant.statistics.language.support import Support
from participant.statistics.models.design import Design
from participant.statistics.models.model import check_linear, linear
from participant.statistics.models.special import expit, ndtri
from participant.statistics.models.variables import Variable

Mask = NDArray[np.bool_]

MAX_GAPS = 32
MAX_DRAWS = 4096


class Equation(Variable):
    """The equation that imputes a column; the values are clipped to its range.

    Attributes:
        family: family of the column; a binomial column holds 0 and 1.
        start: initial value.
        design: covariates, without the column itself.
    """

    family: Literal["gaussian", "binomial"]
    start: FiniteFloat
    design: Design

    @model_validator(mode="after")
    def _check_equation(self) -> Self:
        if self.column in self.design.columns:
            raise ValueError(f"the equation of {self.column} must not have the column itself among its covariates")
        if not self.low <= self.start <= self.high:
            raise ValueError(f"the start value of {self.column} must be inside its range")
        if self.family == "binomial" and (self.low, self.high) != (0, 1):
            raise ValueError(f"{self.column} is binomial and must have the range 0 to 1")
        return self


class Draw(Strict):
    """One turn of an equation: a coefficient for each covariate, and the residual standard deviation (binomial: 0)."""

    coefficients: Annotated[tuple[FiniteFloat, ...], FROM_SUMS]
    deviation: Annotated[FiniteFloat, Field(ge=0), FROM_SUMS]


def _sorted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


class ImputedParams(AroundParams):
    """The imputation and the inner statistic.

    Attributes:
        columns: columns in which each row must have a value, observed or imputed; sorted.
        equations: equation of each incomplete column.
        draws: draws, cycling through the equations.
        seed: seed of the residuals.
        observed: incomplete column in which a row must have an observed value to be included; None for all rows.
    """

    columns: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_COLUMNS), AfterValidator(_sorted)]
    equations: Annotated[tuple[Equation, ...], Field(min_length=1, max_length=MAX_GAPS)]
    draws: Annotated[tuple[Draw, ...], Field(max_length=MAX_DRAWS)]
    seed: int = Field(ge=0, lt=1 << 32)
    observed: Name | None

    @model_validator(mode="after")
    def _check(self) -> Self:
        gaps = self.gaps
        if len(set(gaps)) < len(gaps):
            raise ValueError("a column has two equations; give one for each")
        if self.observed is not None and self.observed not in gaps:
            raise ValueError("the observed column must be one of those with an equation")
        read = {column for equation in self.equations for column in (equation.column, *equation.design.columns)}
        if beyond := sorted(read - set(self.columns)):
            raise ValueError(f"the equations read columns that are not listed: {', '.join(beyond)}")
        for turn, draw in enumerate(self.draws):
            check_linear(self.equations[turn % len(gaps)].design, draw.coefficients)
        return self

    @property
    def gaps(self) -> tuple[str, ...]:
        return tuple(equation.column for equation in self.equations)


class Imputed(Statistic[ImputedParams]):
    """A statistic over completed rows. Blocks: those of the inner statistic, and `imputed`.

    Args:
        of: statistics that can be wrapped.
    """

    name = "imputed"
    version = 2
    Params = ImputedParams
    keeps_missing = True

    def __init__(self, of: Sequence[Statistic[Any]]) -> None:
        self._of: Mapping[str, Statistic[Any]] = {one.name: one for one in of if not one.keeps_missing}

    def columns(self, params: ImputedParams) -> tuple[str, ...]:
        return params.columns

    def layout(self, params: ImputedParams) -> Layout:
        statistic, given = inner(self._of, params)
        limit, count = float(params.row_limit), len(params.equations)
        return Layout(
            (
                *statistic.layout(given).blocks,
                Block("imputed", (count,), limit, exact=True),
            )
        )

    def usable(self, params: ImputedParams, columns: Columns) -> Mask:
        """Return the rows that lack values only in imputed columns, (rows,) bool."""
        filled = set(params.gaps) - {params.observed}
        needed = [columns[name] for name in params.columns if name not in filled]
        there = np.ones(len(columns[params.columns[0]]), np.bool_)
        for column in needed:
            there &= ~np.isnan(column)
        return there

    def asked(self, params: ImputedParams, columns: Columns, rows: Mask, floor: int) -> Mask:
        """Leave out rows that lack a column if fewer than `floor` rows lack it."""
        lacking = [np.isnan(columns[name]) for name in params.gaps]
        while True:  # leaving rows out may leave too few rows that lack another column
            few = [lacks for lacks in lacking if 0 < np.count_nonzero(lacks & rows) < floor]
            if not few:
                return rows
            for lacks in few:
                rows = rows & ~lacks

    def total(self, params: ImputedParams, columns: Columns) -> Arrays:
        """Compute over all rows at once, as the draws depend on them."""
        return self.compute(params, columns)

    def compute(self, params: ImputedParams, columns: Columns) -> Arrays:
        statistic, given = inner(self._of, params)
        return {
            **statistic.total(given, completed(params, columns)),
            "imputed": np.array([np.count_nonzero(np.isnan(columns[name])) for name in params.gaps], np.float64),
        }

    def supported(self, params: ImputedParams, columns: Columns) -> Support:
        """Return the support of the inner statistic, beside the rows that lack and those that have each column."""
        statistic, given = inner(self._of, params)
        lacking = np.isnan([columns[name] for name in params.gaps])
        of_gaps = Support.of(np.concatenate([lacking, ~lacking]))
        return statistic.supported(given, completed(params, columns)).beside(of_gaps)

    def persons(self, params: ImputedParams, columns: Columns) -> int:
        """Return the size of the smallest group of the inner statistic, or of rows that lack a column."""
        statistic, given = inner(self._of, params)
        groups = [int(np.count_nonzero(np.isnan(columns[name]))) for name in params.gaps]
        return min(group for group in (statistic.persons(given, completed(params, columns)), *groups) if group)

    def parameters(self, params: ImputedParams) -> int:
        statistic, given = inner(self._of, params)
        return statistic.parameters(given)

    def disclosure(self, params: ImputedParams) -> Disclosure:
        statistic, given = inner(self._of, params)
        found = statistic.disclosure(given)
        gaps = ", ".join(params.gaps)
        return replace(
            found,
            tells=(
                f"{found.tells} Before that, missing values of {gaps} are imputed from the other columns and chance. "
                "The difference of two such sums discloses something about the rows that lack one of these columns; if "
                "fewer rows of a site do than the query's floor, they are left out."
            ),
            groups=(
                *found.groups,
                Group(
                    blocks=tuple(block for group in found.groups for block in group.blocks),
                    people=f"rows that lack one of {gaps}",
                    reveals=Reveals.VALUES,
                    one_person=False,
                ),
            ),
        )


def completed(params: ImputedParams, columns: Columns) -> Columns:
    """Return the imputed columns."""
    rows = {name: columns[name].copy() for name in params.columns}
    gaps = {name: np.isnan(columns[name]) for name in params.gaps}
    for equation in params.equations:
        rows[equation.column][gaps[equation.column]] = equation.start
    seeds, rank = _of_rows(params, columns)
    for turn, draw in enumerate(params.draws):
        equation = params.equations[turn % len(params.equations)]
        gap = gaps[equation.column]
        z = equation.design.coded({name: rows[name][gap] for name in equation.design.columns}).z
        chance = uniform(drawn([rank[gap]], seeds[gap] ^ np.uint64(turn)))
        rows[equation.column][gap] = _filled(equation, draw, linear(draw.coefficients, z), chance)
    return rows


def _of_rows(params: ImputedParams, columns: Columns) -> tuple[Words, Array]:
    """Return 64 bits for each row, derived from its values and the site's, and its number among rows with equal values.

    Complete rows identify the site: every query of a chain covers them, even one restricted to rows with an observed
    column.
    """
    gaps = [np.isnan(columns[name]) for name in params.columns]
    values = [np.where(gap, 0.0, columns[name]) for name, gap in zip(params.columns, gaps, strict=True)]
    alike = drawn([*values, *(gap.astype(np.float64) for gap in gaps)], params.seed)
    site = alike[~np.logical_or.reduce(gaps)].sum(dtype=np.uint64)
    order = np.argsort(alike, kind="stable")
    _, first, count = np.unique(alike[order], return_index=True, return_counts=True)
    rank = np.empty(len(alike))
    rank[order] = np.arange(len(alike)) - np.repeat(first, count)
    return alike ^ site, rank


def _filled(equation: Equation, draw: Draw, eta: Array, chance: Array) -> Array:
    if equation.family == "binomial":
        drawn_class: Array = (chance < expit(eta)).astype(np.float64)
        return drawn_class
    filled: Array = np.clip(eta + draw.deviation * ndtri(chance), equation.low, equation.high)
    return filled
