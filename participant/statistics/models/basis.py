"""Bases of smooth curves in a numeric column: splines with given knots, and orthogonal polynomials.

All are functions on the column's declared range [low, high], to which values are clipped; the knots are part of the
plan, since no site knows the pooled quantiles.

    bs    B-splines of a degree, without the first one (an intercept takes its place); each lies within [0, 1], and
          differs from 0 between a few neighbouring knots only
    ns    natural cubic splines: those combinations of cubic B-splines whose second derivative is 0 at low and high,
          in the coordinates that R's `ns` chooses (the Householder vectors of the two constraints)
    poly  Legendre's polynomials of degrees 1 to d in (2 x - low - high) / (high - low), each within [-1, 1];
          orthogonal over the range, so that degrees can be added without loss of digits

B-splines are not negative and add up to 1, so a combination of them lies between its least and largest coefficient.

Sources: de Boor 2001, "A Practical Guide to Splines", chapter IX; Chambers, Hastie 1992, "Statistical Models in S",
section 7.1, for the coordinates; Abramowitz, Stegun 1972, chapter 22, for Legendre's polynomials.
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from numpy.polynomial.legendre import legvander
from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from participant.statistics.language.conditions import Strict
from participant.statistics.language.layout import Array
from participant.statistics.language.statistic import Columns
from participant.statistics.language.support import Groups
from participant.statistics.models.variables import Coded, Variable

if TYPE_CHECKING:
    pass

MAX_KNOTS = 20
MAX_DEGREE = 10
CUBIC = 3


def _ascending(knots: tuple[float, ...]) -> tuple[float, ...]:
    if any(first >= second for first, second in pairwise(knots)):
        raise ValueError("knots must ascend")
    return knots


Knots = Annotated[tuple[FiniteFloat, ...], Field(max_length=MAX_KNOTS), AfterValidator(_ascending)]


class Splines(Strict):
    """B-splines of a degree with inner knots."""

    kind: Literal["bs"] = "bs"
    knots: Knots
    degree: int = Field(default=CUBIC, ge=1, le=5)

    @property
    def size(self) -> int:
        return len(self.knots) + self.degree


class NaturalSplines(Strict):
    """Natural cubic splines with inner knots."""

    kind: Literal["ns"] = "ns"
    knots: Knots

    @property
    def size(self) -> int:
        return len(self.knots) + 1


class Polynomials(Strict):
    """Orthogonal polynomials up to a degree."""

    kind: Literal["poly"] = "poly"
    degree: int = Field(ge=1, le=MAX_DEGREE)

    @property
    def size(self) -> int:
        return self.degree


class Basis(Variable):
    """A numeric column with its range, and the functions of it that are covariates."""

    kind: Literal["basis"] = "basis"
    function: Annotated[Splines | NaturalSplines | Polynomials, Field(discriminator="kind")]

    @model_validator(mode="after")
    def _check_knots(self) -> Self:
        knots = () if isinstance(self.function, Polynomials) else self.function.knots
        if any(not self.low < knot < self.high for knot in knots):
            raise ValueError(f"the knots of {self.column} must lie inside its declared range")
        return self

    @property
    def label(self) -> str:
        """Name of all covariates together, for example ``ns(age)``."""
        return f"{self.function.kind}({self.column})"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.label}[{place + 1}]" for place in range(self.function.size))

    @property
    def box(self) -> tuple[Array, Array]:
        """Least and largest value of each function."""
        ones = np.ones(self.function.size)
        match self.function:
            case Splines():
                return np.zeros_like(ones), ones
            case NaturalSplines():
                combined = np.vstack([np.zeros_like(ones), self._natural()])
                return combined.min(axis=0), combined.max(axis=0)
            case Polynomials():
                return -ones, ones

    def coded(self, columns: Columns) -> Coded:
        given = columns[self.column]
        outside = (given < self.low) | (given > self.high)
        return Coded(self._of(np.clip(given, self.low, self.high)), {self.column: outside})

    def groups(self, columns: Columns) -> Groups:
        """Return the groups that the functions set apart, (2 p, rows): where each is not 0, then where it is 0."""
        there = self.coded(columns).z != 0
        return np.concatenate([there, ~there])

    def _of(self, x: Array) -> Array:
        """Return the values of the functions, (p, rows)."""
        if not len(x):
            return np.zeros((self.function.size, 0))
        match self.function:
            case Splines(degree=degree):
                return self._bumps(x, degree)
            case NaturalSplines():
                values: Array = self._natural().T @ self._bumps(x, CUBIC)
                # Rounding must not leave the box, on which bounds rest.
                low, high = self.box
                return np.clip(values, low[:, np.newaxis], high[:, np.newaxis])
            case Polynomials(degree=degree):
                u = np.clip((2 * x - self.low - self.high) / (self.high - self.low), -1.0, 1.0)
                return np.clip(legvander(u, degree).T[1:], -1.0, 1.0)

    def _bumps(self, x: Array, degree: int) -> Array:
        """Return the B-splines but the first, (p, rows)."""
        from scipy.interpolate import BSpline  # noqa: PLC0415 - takes a second to load

        values: Array = BSpline.design_matrix(x, self._all_knots(degree), degree).toarray().T[1:]
        return np.clip(values, 0.0, 1.0)

    def _natural(self) -> Array:
        """Return the coefficients of natural splines in B-splines but the first, (p + 2, p)."""
        from scipy.interpolate import BSpline  # noqa: PLC0415

        knots = self._all_knots(CUBIC)
        every: BSpline = BSpline(knots, np.eye(len(knots) - CUBIC - 1), CUBIC)
        constraints = every.derivative(2)(np.array([self.low, self.high]))[:, 1:]
        coordinates: Array = np.linalg.qr(constraints.T, mode="complete")[0][:, 2:]
        return coordinates

    def _all_knots(self, degree: int) -> Array:
        assert not isinstance(self.function, Polynomials)
        ends = degree + 1
        return np.array([self.low] * ends + [*self.function.knots] + [self.high] * ends)
