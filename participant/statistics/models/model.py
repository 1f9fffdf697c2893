"""Common parts of the statistics of regression models: a design, weights, and further single columns."""

from collections.abc import Iterable
from typing import Annotated, Self

import numpy as np
from pydantic import FiniteFloat, model_validator

from participant.statistics.language.from_sums import FROM_SUMS
from participant.statistics.language.layout import Array
from participant.statistics.language.statistic import Columns, Params
from participant.statistics.language.support import Support, common
from participant.statistics.models.design import Design, Numeric, Untransformed
from participant.statistics.models.variables import Coded

MAX_LINEAR = 1e12  # keeps every linear predictor finite


class ModelParams(Params):
    """A model's `design`, with its p covariates, and its `weight`, a column of nonnegative weights (None: all 1)."""

    design: Design
    weight: Numeric | None

    @model_validator(mode="after")
    def _check_weight(self) -> Self:
        if self.weight and self.weight.bounds[0] < 0:
            raise ValueError("a weight must have a range of 0 or more")
        return self

    @property
    def beside(self) -> tuple[Numeric, ...]:
        """Single columns read in addition to the design, with the weight last."""
        return (self.weight,) if self.weight else ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.design.columns + tuple(factor.column for factor in self.beside)

    @property
    def weight_bound(self) -> float:
        """The largest possible sum of weights at a site."""
        return self.row_limit * (self.weight.bounds[1] if self.weight else 1.0)

    def weights(self, columns: Columns) -> Array:
        """Return the weights, (rows,)."""
        return single(self.weight, columns) if self.weight else np.ones(len(columns[self.columns[0]]))

    def support(self, columns: Columns, sizes: Array) -> Support:
        """Return the support of sums of first and second order in the covariates.

        The groups are the cells of all two-way tables of what the covariates and the single columns set apart.

        Args:
            columns: the rows.
            sizes: (k, rows) what multiplies 1, z and z z' in the sums, such as the weights.
        """
        groups = [self.design.groups(columns), *(factor.groups(columns) for factor in self.beside)]
        raw = self.design.raw(columns)
        found = Support.of_sums(sizes)
        for size in sizes:
            for power in (raw, raw * raw):
                found = found.beside(Support.of_sums(size * power))
        return found._replace(persons=common(np.concatenate(groups)))

    def outside(self, coded: Coded, columns: Columns) -> Array:
        """Return the number of values outside their range, for each column of the design, then each single column."""
        beside = [np.count_nonzero(factor.coded(columns).outside[factor.column]) for factor in self.beside]
        return np.concatenate([self.design.count_outside(coded), np.array(beside, np.float64)])


class LinearParams(ModelParams):
    """Parameters of a linear predictor: the sums are evaluated at `coefficients`, (p,)."""

    coefficients: Annotated[tuple[FiniteFloat, ...], FROM_SUMS]

    @model_validator(mode="after")
    def _check_coefficients(self) -> Self:
        check_linear(self.design, self.coefficients)
        return self

    def linear(self, coded: Coded) -> Array:
        """Return the linear predictor of the design, (rows,)."""
        return linear(self.coefficients, coded.z)


def linear(coefficients: Iterable[float], values: Array) -> Array:
    """Return the linear predictor, (rows,), of the covariates, (p, rows).

    This avoids matrix products, whose rounding may depend on a row's neighbours: counts of values beyond a bound must
    not depend on other rows.
    """
    eta = np.zeros(values.shape[1])
    for coefficient, value in zip(coefficients, values, strict=True):
        eta += coefficient * value
    return eta


def other_than_binary(factor: Numeric, columns: Columns) -> float:
    """Return the number of values of a single column other than 0 and 1; an indicator of it has no others."""
    if factor.function != Untransformed():
        return 0.0
    given = columns[factor.column]
    return float(np.count_nonzero((given != 0) & (given != 1)))


def single(factor: Numeric, columns: Columns) -> Array:
    """Return the values of a single column, (rows,)."""
    values: Array = factor.coded(columns).z[0]
    return values


def check_linear(design: Design, coefficients: Iterable[float]) -> None:
    """Raise ValueError unless there is one coefficient for each covariate and linear predictors stay bounded."""
    given = np.array(tuple(coefficients))
    if given.shape != (len(design.names),):
        raise ValueError(f"give one coefficient for each of the {len(design.names)} covariates, not {len(given)}")
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.abs(given) @ design.reach <= MAX_LINEAR:
            raise ValueError(f"a linear predictor could exceed {MAX_LINEAR:g} inside the declared ranges")
