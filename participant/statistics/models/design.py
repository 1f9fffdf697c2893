"""Designs: typed terms that turn a table's columns into the covariates of a model.

A factor is a numeric column with a declared range, transformed and scaled, or turned into a basis of smooth curves
(`basis`), or a category with its levels. A term is a
product of factors, and a design a list of terms; the term without factors is the intercept. Every covariate has a
provable range: the interval product of its factors' ranges.

    numeric   (f(x) - centre) / scale, with f one of identity, log, power, indicator, steps; x is clipped to its range
    category  treatment coding: an indicator for each level but the reference, in the order of the levels;
              full coding: an indicator for each level

Values outside a declared range or the declared levels (whose indicators are all 0) are counted, for the reason
given in `variables`.

A covariate that is constant except in a few rows singles these out: its sums are sums over them. A narrow range does
the same; the floor (`suppression`) considers the covariates, not the columns behind them.

Source: Wilkinson, Rogers 1973, Appl Statist 22:392, for terms and their expansion.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from participant.statistics.language.conditions import Comparison, Name, Operator, Strict
from participant.statistics.language.from_sums import FROM_SUMS
from participant.statistics.language.layout import Array
from participant.statistics.language.statistic import Columns
from participant.statistics.language.support import Groups
from participant.statistics.models.basis import Basis
from participant.statistics.models.variables import Coded, Variable

MAX_LEVELS = 256
MAX_STEPS = 1001
MAX_COVARIATES = 256
MAX_FACTORS = 8


class Untransformed(Strict):
    """The value x itself."""

    kind: Literal["identity"] = "identity"


class Log(Strict):
    """The natural logarithm; the declared range must be above 0."""

    kind: Literal["log"] = "log"


class Power(Strict):
    """x to an exponent other than 0 and 1. A fractional one needs a range of 0 or more, a negative one above 0."""

    kind: Literal["power"] = "power"
    exponent: FiniteFloat = Field(ge=-16, le=16)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.exponent in {0, 1}:
            raise ValueError("the exponent must be neither 0 (a constant) nor 1 (the identity)")
        return self


class Indicator(Strict):
    """1 if x meets the comparison, otherwise 0."""

    kind: Literal["indicator"] = "indicator"
    op: Operator
    value: FiniteFloat


class Steps(Strict):
    """A value for each step of a grid, in ascending order, such as the ranks of the values in it.

    The first step ends at `origin`, the others are of `width`; values beyond the last one are in it.
    """

    kind: Literal["steps"] = "steps"
    origin: FiniteFloat
    width: FiniteFloat = Field(gt=0)
    values: Annotated[tuple[FiniteFloat, ...], Field(min_length=2, max_length=MAX_STEPS)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(first > second for first, second in pairwise(self.values)):
            raise ValueError("the values of steps must ascend")
        return self


Function = Annotated[Untransformed | Log | Power | Indicator | Steps, Field(discriminator="kind")]


class Numeric(Variable):
    """A numeric column with its range, transformed: (f(x) - centre) / scale."""

    kind: Literal["numeric"] = "numeric"
    function: Function = Untransformed()
    centre: Annotated[FiniteFloat, FROM_SUMS] = 0.0
    scale: Annotated[FiniteFloat, Field(gt=0), FROM_SUMS] = 1.0

    @model_validator(mode="after")
    def _check_function(self) -> Self:
        match self.function:
            case Log() if self.low <= 0:
                raise ValueError(f"the logarithm of {self.column} needs a declared range above 0")
            case Power(exponent=exponent) if self.low < 0 and exponent != int(exponent):
                raise ValueError(f"a fractional power of {self.column} needs a declared range of 0 or more")
            case Power(exponent=exponent) if self.low <= 0 <= self.high and exponent < 0:
                raise ValueError(f"a negative power of {self.column} needs a declared range that excludes 0")
        if not np.isfinite(self.bounds).all():
            raise ValueError(f"the values of {self.column} could exceed the range of a double")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        match self.function:
            case Untransformed():
                return (self.column,)
            case Log():
                return (f"log({self.column})",)
            case Power(exponent=exponent):
                return (f"{self.column}^{exponent:g}",)
            case Indicator(op=op, value=value):
                return (f"{self.column} {op} {value:g}",)
            case Steps():
                return (f"steps({self.column})",)

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and largest value."""
        match self.function:
            case Indicator():
                ends = [0.0, 1.0]
            case Steps(values=values):
                ends = [values[0], values[-1]]
            case Power(exponent=exponent) if exponent > 0 and self.low < 0 < self.high:
                ends = [*self._of(np.array([self.low, self.high])).tolist(), 0.0]
            case _:
                ends = self._of(np.array([self.low, self.high])).tolist()
        scaled = [(end - self.centre) / self.scale for end in ends]
        return min(scaled), max(scaled)

    @property
    def box(self) -> tuple[Array, Array]:
        """Least and largest value, (1,) each."""
        low, high = self.bounds
        return np.array([low]), np.array([high])

    def coded(self, columns: Columns) -> Coded:
        given = columns[self.column]
        outside = (given < self.low) | (given > self.high)
        values = (self._of(np.clip(given, self.low, self.high)) - self.centre) / self.scale
        return Coded(values[np.newaxis], {self.column: outside})

    def groups(self, columns: Columns) -> Groups:
        """Return the groups that the covariate sets apart, (2, rows): the rows for which an indicator is 1 and those
        for which it is 0; otherwise the rows above the range's lower end and those below its upper end.
        """
        given = columns[self.column]
        match self.function:
            case Indicator(op=op, value=value):
                met = Comparison(column=self.column, op=op, value=value).meets(np.clip(given, self.low, self.high))
                return np.array([met, ~met])
            case _:
                return np.array([given > self.low, given < self.high])

    def _of(self, x: Array) -> Array:
        match self.function:
            case Untransformed():
                return x
            case Log():
                return np.log(x)
            case Power(exponent=exponent):
                with np.errstate(over="ignore"):  # the box refuses infinite values
                    return np.power(x, exponent)
            case Indicator(op=op, value=value):
                return Comparison(column=self.column, op=op, value=value).meets(x).astype(np.float64)
            case Steps(origin=origin, width=width, values=values):
                edges = origin + width * np.arange(len(values) - 1)
                return np.array(values)[np.searchsorted(edges, x, side="left")]


def _distinct(levels: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(levels)) != len(levels):
        raise ValueError("a level is listed twice; list each once")
    return levels


class Category(Strict):
    """A column of codes. The levels are in the order of the variable's published definition."""

    kind: Literal["category"] = "category"
    column: Name
    levels: Annotated[tuple[FiniteFloat, ...], Field(min_length=2, max_length=MAX_LEVELS), AfterValidator(_distinct)]

    def index(self, columns: Columns) -> NDArray[np.int64]:
        """Return the index of each row's code among the levels; any other code gets the number of levels."""
        codes = np.array(self.levels)
        order = np.argsort(codes)
        place = np.minimum(np.searchsorted(codes, columns[self.column], sorter=order), len(codes) - 1)
        return np.where(codes[order[place]] == columns[self.column], order[place], len(codes)).astype(np.int64)


class Coding(Category):
    """A category coded as covariates. `reference` is one of the levels, or None for full coding."""

    kind: Literal["category"] = "category"
    reference: FiniteFloat | None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.reference is not None and self.reference not in self.levels:
            raise ValueError(f"the reference of {self.column} is not one of its levels")
        return self

    @property
    def coded_levels(self) -> tuple[float, ...]:
        """The levels that have an indicator."""
        return tuple(level for level in self.levels if level != self.reference)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.column}[{level:g}]" for level in self.coded_levels)

    @property
    def box(self) -> tuple[Array, Array]:
        """Least and largest value of each indicator."""
        return np.zeros(len(self.coded_levels)), np.ones(len(self.coded_levels))

    def coded(self, columns: Columns) -> Coded:
        codes = columns[self.column]
        outside = self.index(columns) == len(self.levels)
        values = np.array([codes == level for level in self.coded_levels], np.float64)
        return Coded(values, {self.column: outside})

    def groups(self, columns: Columns) -> Groups:
        """Return the rows of each coded level, then those of no coded level, (g, rows)."""
        of_levels = np.array([columns[self.column] == level for level in self.coded_levels])
        return np.concatenate([of_levels, ~of_levels.any(axis=0, keepdims=True)])


Factor = Annotated[Numeric | Coding | Basis, Field(discriminator="kind")]
Term = Annotated[tuple[Factor, ...], Field(max_length=MAX_FACTORS)]
INTERCEPT: tuple[Factor, ...] = ()


class Design(Strict):
    """The covariates of a model: its terms in order, each with its covariates, the last factor varying fastest."""

    terms: Annotated[tuple[Term, ...], Field(min_length=1, max_length=MAX_COVARIATES)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 1 <= len(self.names) <= MAX_COVARIATES:
            raise ValueError(f"a design must have 1 to {MAX_COVARIATES} covariates; this one has {len(self.names)}")
        if len(set(self.names)) != len(self.names):
            raise ValueError("a covariate is listed twice; list each once")
        if not np.isfinite(self.box).all():
            raise ValueError("a product of covariates could exceed the range of a double")
        return self

    @property
    def factors(self) -> Iterator[Numeric | Coding | Basis]:
        return (factor for term in self.terms for factor in term)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that the design reads, each once, in order."""
        return tuple(dict.fromkeys(factor.column for factor in self.factors))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the p covariates, for example ``age``, ``sex[2]``, ``age:sex[2]``; ``1`` is the intercept."""
        return tuple(name for term in self.terms for name in _names(term))

    @property
    def box(self) -> tuple[Array, Array]:
        """Least and largest value of each covariate, (p,) each."""
        boxes = [_box(term) for term in self.terms]
        return np.concatenate([low for low, _ in boxes]), np.concatenate([high for _, high in boxes])

    @property
    def reach(self) -> Array:
        """Largest absolute value of each covariate, (p,)."""
        low, high = self.box
        return np.maximum(np.abs(low), np.abs(high))

    def linear_bounds(self, coefficients: Array) -> tuple[float, float]:
        """Return the least and largest linear predictor within the declared ranges."""
        low, high = (coefficients * end for end in self.box)
        return float(np.minimum(low, high).sum()), float(np.maximum(low, high).sum())

    def coded(self, columns: Columns) -> Coded:
        """Return the covariates, (p, rows), and which values of each column lie outside its range or levels."""
        parts = [_coded(term, columns) for term in self.terms]
        return Coded(np.concatenate([part.z for part in parts]), _joined(parts))

    def count_outside(self, coded: Coded) -> Array:
        """Return the number of values of each of `columns` outside its range or levels, (k,)."""
        return np.array([np.count_nonzero(coded.outside[column]) for column in self.columns], np.float64)

    def raw(self, columns: Columns) -> Array:
        """Return the covariates as shares of their ranges, 0 to 1, whatever their centres and scales, (p, rows)."""
        return np.concatenate([_product([_share(factor, columns) for factor in term], columns) for term in self.terms])

    def groups(self, columns: Columns) -> Groups:
        """Return the groups that the terms set apart, all rows first, (g, rows).

        A term of one factor sets apart the factor's groups. A product sets apart, for each covariate, the rows for
        which it is not 0; the other cells of its factors follow from the factors' own terms.
        """
        found = [np.ones((1, _rows(columns)), np.bool_)]
        for term in self.terms:
            if len(term) == 1:
                found.append(term[0].groups(columns))
            elif term:
                there = [factor.groups(columns)[: len(factor.names)].astype(np.float64) for factor in term]
                found.append(_product(there, columns) > 0)
        return np.concatenate(found)

    def persons(self, columns: Columns) -> int:
        """Return the size of the smallest nonempty group that a covariate singles out: the rows in which it differs
        from the value that most rows have.
        """
        smallest = rows = _rows(columns)
        for term in self.terms if rows else ():
            for covariate in _coded(term, columns).z:
                # A value that most rows have is the median; without one, at least half of the rows differ.
                median = np.partition(covariate, rows // 2)[rows // 2]
                smallest = min(int(np.count_nonzero(covariate != median)) or rows, smallest)
        return smallest


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _coded(term: tuple[Numeric | Coding | Basis, ...], columns: Columns) -> Coded:
    factors = [factor.coded(columns) for factor in term]
    return Coded(_product([factor.z for factor in factors], columns), _joined(factors))


def _product(factors: Iterable[Array], columns: Columns) -> Array:
    """Return the products of the factors' covariates, the last factor varying fastest, (covariates, rows)."""
    values = np.ones((1, _rows(columns)))
    for z in factors:
        values = (values[:, np.newaxis] * z).reshape(len(values) * len(z), _rows(columns))
    return values


def _share(factor: Numeric | Coding | Basis, columns: Columns) -> Array:
    low, high = (end[:, np.newaxis] for end in factor.box)
    return (factor.coded(columns).z - low) / np.where(high > low, high - low, 1.0)


def _joined(parts: Iterable[Coded]) -> dict[str, NDArray[np.bool_]]:
    outside: dict[str, NDArray[np.bool_]] = {}
    for part in parts:
        for column, odd in part.outside.items():
            outside[column] = outside[column] | odd if column in outside else odd
    return outside


def _names(term: tuple[Numeric | Coding | Basis, ...]) -> list[str]:
    names = [""]
    for factor in term:
        names = [f"{first}:{second}" if first else second for first in names for second in factor.names]
    return names if term else ["1"]


def _box(term: tuple[Numeric | Coding | Basis, ...]) -> tuple[Array, Array]:
    low, high = np.ones(1), np.ones(1)
    with np.errstate(over="ignore", invalid="ignore"):  # a design refuses infinite values
        for factor in term:
            ends = np.array([np.multiply.outer(mine, other).ravel() for mine in (low, high) for other in factor.box])
            low, high = ends.min(axis=0), ends.max(axis=0)
    return low, high


def cross_bounds(reach: Array, weight: float) -> tuple[float, ...]:
    """Return bounds on a sum of w z z' with sum of w up to `weight`: upper triangle by rows, q = p (p + 1) / 2."""
    rows, columns = np.triu_indices(len(reach))
    with np.errstate(over="ignore"):  # a layout refuses infinite bounds
        return tuple((weight * reach[rows] * reach[columns]).tolist())


def cross_sums(z: Array, weights: Array) -> Array:
    """Return the sum of w z z' over rows, upper triangle by rows, (q,)."""
    product = (z * weights) @ z.T
    return product[np.triu_indices(len(z))]
