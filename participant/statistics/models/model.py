"""What the statistics of regression models have in common: a design, weights, and single columns beside it."""

from collections.abc import Iterable
from typing import Annotated, Self

import numpy as np
from pydantic import FiniteFloat, model_validator

from participant.statistics.language.from_sums import FROM_SUMS
from participant.statistics.language.layout import Array
from participant.statistics.language.statistic import Columns, Params
from participant.statistics.models.design import Coded, Design, Numeric

MAX_LINEAR = 1e6  # keeps a linear predictor itself finite, whatever the row


class ModelParams(Params):
    """`design`: the p covariates; `weight`: a column of weights from 0 on, or None for 1 each."""

    design: Design
    weight: Numeric | None

    @model_validator(mode="after")
    def _check_weight(self) -> Self:
        if self.weight and self.weight.bounds[0] < 0:
            raise ValueError("a weight has a range from 0 on")
        return self

    @property
    def beside(self) -> tuple[Numeric, ...]:
        """Single columns that are read beside the design; the weight is the last one."""
        return (self.weight,) if self.weight else ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.design.columns + tuple(factor.column for factor in self.beside)

    @property
    def weight_bound(self) -> float:
        """The largest sum of weights that a site can have."""
        return self.row_limit * (self.weight.bounds[1] if self.weight else 1.0)

    def weights(self, columns: Columns) -> Array:
        """Return the weights, (rows,)."""
        return single(self.weight, columns) if self.weight else np.ones(len(columns[self.columns[0]]))

    def outside(self, coded: Coded, columns: Columns) -> Array:
        """Return how many values are outside: of each column of the design, then of each that is beside it."""
        beside = [np.count_nonzero(factor.coded(columns).outside[factor.column]) for factor in self.beside]
        return np.concatenate([self.design.count_outside(coded), np.array(beside, np.float64)])


class LinearParams(ModelParams):
    """`coefficients`: (p,), at which the sums are asked."""

    coefficients: Annotated[tuple[FiniteFloat, ...], FROM_SUMS]

    @model_validator(mode="after")
    def _check_coefficients(self) -> Self:
        check_linear(self.design, self.coefficients)
        return self

    def linear(self, coded: Coded) -> Array:
        """Return the linear predictor of the design, (rows,)."""
        return linear(self.coefficients, coded.z)


def linear(coefficients: Iterable[float], values: Array) -> Array:
    """Return the linear predictor of each row, (rows,), of covariates (p, rows).

    Not by a product of matrices: that may round otherwise when a row has other neighbours, and what is counted by
    comparison with a bound must not depend on them.
    """
    eta = np.zeros(values.shape[1])
    for coefficient, value in zip(coefficients, values, strict=True):
        eta += coefficient * value
    return eta


def single(factor: Numeric, columns: Columns) -> Array:
    """Return the values of a column on its own, (rows,)."""
    values: Array = factor.coded(columns).z[0]
    return values


def check_linear(design: Design, coefficients: Iterable[float]) -> None:
    """Raise ValueError where there is not one coefficient for each covariate, or a linear predictor could be absurd."""
    given = np.array(tuple(coefficients))
    if given.shape != (len(design.names),):
        raise ValueError(f"there is one coefficient for each of the {len(design.names)} covariates, got {len(given)}")
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.abs(given) @ design.reach <= MAX_LINEAR:
            raise ValueError(f"a linear predictor could exceed {MAX_LINEAR:g} inside the declared ranges")
