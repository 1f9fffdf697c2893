"""Designs that are centred and scaled inside a fit, and the way back to the covariates that were asked for.

A year or an identification number has many digits in common in all rows; beside an intercept, its sums would lose what
differs. So a fit uses z* = (f - centre) / scale for each numeric factor f, with the middle and half the width of its
declared range: numbers that the plan fixes, so that every party computes the same ones. Then z* = z B for a matrix B of
products of centres and scales, and coefficients b* of z* are coefficients b = B b* of z.

A factor is centred only if the design spans the same space afterwards: if each of its products, without it, is in the
design as well (for a single factor: the intercept). Otherwise it is scaled only, by its largest absolute value.
Indicators, levels and bases stay as they are, and so do factors of one name with different centres of their own.

Source: Marquardt, Snee 1975, Am Stat 29:3, for centring and scaling by ranges.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations, product
from math import prod
from typing import Self

import numpy as np

from participant.statistics.language.layout import Array
from participant.statistics.models.design import Design, Factor, Indicator, Numeric

Name = frozenset[str]
"""A covariate's factors and levels by name, such as {"age", "sex[2]"}; the intercept has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Standardised:
    """A design in standardised factors.

    Attributes:
        design: the standardised design, with the same names.
        back: (p, p) matrix B.
    """

    design: Design
    back: Array

    @classmethod
    def of(cls, design: Design) -> Self:
        """Standardise the numeric factors of a design."""
        names = [name for term in design.terms for name in _covariates(term)]
        places = {name: place for place, name in enumerate(names)}
        moves = {one: _move(one, centred=_is_centred(one, names)) for one in _movable(design)}
        by_name = {one.names[0]: move for one, move in moves.items()}
        back = np.zeros((len(names), len(names)))
        for column, name in enumerate(names):
            moved = sorted(name & by_name.keys())
            scale = prod(by_name[one][1] for one in moved)
            for gone in _subsets(one for one in moved if by_name[one][0]):
                back[places[name - set(gone)], column] = prod(-by_name[one][0] for one in gone) / scale
        terms = tuple(tuple(_inside(one, moves) for one in term) for term in design.terms)
        return cls(Design(terms=terms), back)

    def inside(self, coefficients: Array) -> Array:
        """Return b* for coefficients b, (p,)."""
        return np.linalg.solve(self.back, coefficients).astype(np.float64)

    def covariance(self, inside: Array) -> Array:
        """Return the covariance of b for that of b*, (p, p)."""
        covariance: Array = self.back @ inside @ self.back.T
        return covariance

    def means(self, inside: Array) -> Array:
        """Return the means of z for those of z*, (p,), where the intercept is among them."""
        return np.linalg.solve(self.back.T, inside).astype(np.float64)

    def products(self, inside: Array) -> Array:
        """Return the sums of products of z about their means for those of z*, (p, p)."""
        half = np.linalg.solve(self.back.T, inside)
        return np.linalg.solve(self.back.T, half.T).astype(np.float64)


def standardised_outcome(outcome: Numeric, *, centred: bool) -> Numeric:
    """Return an outcome on the scale of its declared range, moved to its middle if an intercept can take that up."""
    return _moved(outcome, *_move(outcome, centred=centred))


def _movable(design: Design) -> list[Numeric]:
    numeric = {one for one in design.factors if isinstance(one, Numeric)}
    times = Counter(one.names[0] for one in numeric)
    return [one for one in numeric if times[one.names[0]] == 1 and not isinstance(one.function, Indicator)]


def _is_centred(factor: Numeric, names: list[Name]) -> bool:
    own = frozenset(factor.names)
    return all(name - own in names for name in names if own <= name)


def _move(factor: Numeric, *, centred: bool) -> tuple[float, float]:
    """Return a factor's centre and scale, in units of its values."""
    low, high = factor.bounds
    if centred:
        return low + (high - low) / 2, (high - low) / 2
    return 0.0, max(abs(low), abs(high))


def _moved(factor: Numeric, centre: float, scale: float) -> Numeric:
    changes = {"centre": factor.centre + factor.scale * centre, "scale": factor.scale * scale}
    return factor.model_copy(update=changes)


def _inside(factor: Factor, moves: Mapping[Numeric, tuple[float, float]]) -> Factor:
    return _moved(factor, *moves[factor]) if isinstance(factor, Numeric) and factor in moves else factor


def _covariates(term: tuple[Factor, ...]) -> Iterator[Name]:
    for parts in product(*(factor.names for factor in term)):
        yield frozenset(parts)


def _subsets(items: Iterable[str]) -> Iterator[tuple[str, ...]]:
    listed = list(items)
    return chain.from_iterable(combinations(listed, size) for size in range(len(listed) + 1))
