"""Another statistic over completed rows: gaps are filled at the site, by equations that the query gives.

A gap column c has a start value and an equation: covariates z (of any columns, gaps among them) and a family. First all
gaps of a row hold the start values. Draws d_1 ... d_T then go round the k equations in turn; draw t, of the equation
c = t mod k, has coefficients b and a standard deviation s, and sets column c in the rows that lack it to

    gaussian    b.z + s e,  moved into the range of the column           e standard normal
    binomial    1 where u < expit(b.z), otherwise 0                      u uniform on (0, 1)

with e and u by `draws` from the seed, t, the row's place and all values of the table: two rows, or sites, do not share
them, and the same query gives the same rows every time. On the completed rows the inner statistic is computed, or only
on those in which the column `observed` was there. Beside its blocks:

    imputed  = rows that lack each gap column        (k,)    whole numbers
    dropped  = rows left out, for the reason below   ()      whole number

Rows must have values in the other columns of `columns`. Sums at two chains of draws differ by a sum over rows with a
gap; so a gap column that fewer than `floor` rows of the site lack (but some) is not filled there: these rows are left
out. With the query's own floor above this one, a site with such a group withholds everything. It does not add up over
rows exactly: who draws what depends on the site.

Sources: van Buuren, Groothuis-Oudshoorn 2011, J Stat Softw 45:3 (chained equations); Rubin 1987, section 5.3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, FiniteFloat, model_validator
from scipy.special import expit, ndtri

from participant.statistics.conditions import Name, Strict
from participant.statistics.design import Design
from participant.statistics.disclosure import Disclosure, Group, Reveals
from participant.statistics.draws import drawn, uniform
from participant.statistics.inner import AroundParams, inner
from participant.statistics.layout import Array, Arrays, Block, Layout
from participant.statistics.model import check_linear, linear
from participant.statistics.query import MAX_COLUMNS, MAX_PERSONS
from participant.statistics.statistic import Columns, Statistic
from participant.statistics.variables import Variable

MAX_GAPS = 32
MAX_DRAWS = 4096


class Equation(Variable):
    """How a gap column is filled; its values are moved into its range.

    Attributes:
        family: of the column; a binomial one holds 0 and 1.
        start: first value.
        design: the covariates, without the column itself.
    """

    family: Literal["gaussian", "binomial"]
    start: FiniteFloat
    design: Design

    @model_validator(mode="after")
    def _check_equation(self) -> Self:
        if self.column in self.design.columns:
            raise ValueError(f"the equation of {self.column} has the column itself among its covariates")
        if not self.low <= self.start <= self.high:
            raise ValueError(f"the start of {self.column} is inside its range")
        if self.family == "binomial" and (self.low, self.high) != (0, 1):
            raise ValueError(f"{self.column} has the range 0 to 1")
        return self


class Draw(Strict):
    """One turn of an equation: a coefficient for each covariate, and the deviation of its residual (binomial: 0)."""

    coefficients: tuple[FiniteFloat, ...]
    deviation: FiniteFloat = Field(ge=0)


def _sorted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


class ImputedParams(AroundParams):
    """What the rows are completed by, and the statistic inside.

    Attributes:
        columns: in which a row has values, or gaps that are filled; sorted.
        equations: one for each gap column.
        draws: in turns over the equations.
        seed: of the residuals.
        observed: a gap column: only rows that have it count; None for all.
        floor: a column that fewer rows lack is not filled.
    """

    columns: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_COLUMNS), AfterValidator(_sorted)]
    equations: Annotated[tuple[Equation, ...], Field(min_length=1, max_length=MAX_GAPS)]
    draws: Annotated[tuple[Draw, ...], Field(max_length=MAX_DRAWS)]
    seed: int = Field(ge=0, lt=1 << 32)
    observed: Name | None
    floor: int = Field(ge=1, le=MAX_PERSONS)

    @model_validator(mode="after")
    def _check(self) -> Self:
        gaps = self.gaps
        if len(set(gaps)) < len(gaps):
            raise ValueError("a column has two equations")
        if self.observed is not None and self.observed not in gaps:
            raise ValueError("the observed column is one of those with gaps")
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
    """Blocks: those of the inner statistic, `imputed` and `dropped`.

    Args:
        of: the statistics that can be inside.
    """

    name = "imputed"
    version = 1
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
                Block("dropped", (), limit, exact=True),
            )
        )

    def total(self, params: ImputedParams, columns: Columns) -> Arrays:
        """All rows at once: what is too few, and what is drawn, depends on them."""
        return self.compute(params, columns)

    def compute(self, params: ImputedParams, columns: Columns) -> Arrays:
        statistic, given = inner(self._of, params)
        lacking, kept, complete = _gaps(params, columns)
        completed = _completed(params, columns, lacking, kept)
        return {
            **statistic.total(given, completed),
            "imputed": np.array([np.count_nonzero(lacks[kept]) for lacks in lacking.values()], np.float64),
            "dropped": np.array(float(np.count_nonzero(complete & ~kept))),
        }

    def persons(self, params: ImputedParams, columns: Columns) -> int:
        """Those of the inner statistic, and the rows that lack a column."""
        statistic, given = inner(self._of, params)
        lacking, kept, _ = _gaps(params, columns)
        groups = [int(np.count_nonzero(lacks[kept])) for lacks in lacking.values()]
        completed = _completed(params, columns, lacking, kept)
        inside = statistic.persons(given, completed) if len(completed[params.columns[0]]) else 0
        return min((group for group in (inside, *groups) if group), default=0)

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
                f"{found.tells} Gaps in {gaps} are filled before that, by the other columns and chance. Two such sums "
                f"tell by their difference about the rows that lack one of these columns; where fewer than "
                f"{params.floor} rows of a site do, they are left out."
            ),
            groups=(
                *found.groups,
                Group(
                    blocks=tuple(block for group in found.groups for block in group.blocks),
                    people=f"rows that lack one of {gaps}",
                    reveals=Reveals.VALUES,
                    one_person=params.floor == 1,
                ),
            ),
        )


Mask = NDArray[np.bool_]


def _gaps(params: ImputedParams, columns: Columns) -> tuple[dict[str, Mask], Mask, Mask]:
    """Return which rows lack each gap column, which rows are kept, and which have all other columns."""
    lacking = {name: np.isnan(columns[name]) for name in params.gaps}
    complete = np.ones(len(columns[params.columns[0]]), np.bool_)
    for name in params.columns:
        if name not in lacking:
            complete &= ~np.isnan(columns[name])
    kept = complete.copy()
    while True:  # leaving rows out can leave few that lack another column
        few = [lacks for lacks in lacking.values() if 0 < np.count_nonzero(lacks & kept) < params.floor]
        if not few:
            return lacking, kept, complete
        for lacks in few:
            kept &= ~lacks


def _completed(params: ImputedParams, columns: Columns, lacking: Mapping[str, Mask], kept: Mask) -> Columns:
    """Return the columns of the rows that count, their gaps filled."""
    rows = {name: columns[name][kept].copy() for name in params.columns}
    gaps = {name: lacks[kept] for name, lacks in lacking.items()}
    for equation in params.equations:
        rows[equation.column][gaps[equation.column]] = equation.start
    site = _of_site(params, columns)
    place = np.flatnonzero(kept).astype(np.float64)
    for turn, draw in enumerate(params.draws):
        equation = params.equations[turn % len(params.equations)]
        gap = gaps[equation.column]
        z = equation.design.coded({name: rows[name][gap] for name in equation.design.columns}).z
        chance = uniform(drawn([place[gap]], site ^ (params.seed << 32 | turn)))
        rows[equation.column][gap] = _filled(equation, draw, linear(draw.coefficients, z), chance)
    if params.observed is None:
        return rows
    return {name: column[~gaps[params.observed]] for name, column in rows.items()}


def _filled(equation: Equation, draw: Draw, eta: Array, chance: Array) -> Array:
    if equation.family == "binomial":
        drawn_class: Array = (chance < expit(eta)).astype(np.float64)
        return drawn_class
    filled: Array = np.clip(eta + draw.deviation * ndtri(chance), equation.low, equation.high)
    return filled


def _of_site(params: ImputedParams, columns: Columns) -> int:
    """Return a number that the whole table gives, so that sites draw apart."""
    words = drawn([np.nan_to_num(columns[name], nan=0.0) for name in params.columns], params.seed)
    return int(words.sum(dtype=np.uint64))
