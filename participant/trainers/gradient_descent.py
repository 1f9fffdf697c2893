"""Gradient descent for linear and logistic regression, in NumPy.

    w <- w - rate (mean gradient of the loss + penalty w + proximal (w - w_0)),   `steps` times from w_0

on all rows at once. The loss is half the squared residual, or the negative log-likelihood. `proximal` pulls a site
back towards the model that it received (Li et al. 2020, MLSys, "Federated optimization in heterogeneous networks").
"""

from abc import ABC, abstractmethod

import numpy as np
from pydantic import Field, FiniteFloat

from participant.statistics.language.conditions import Strict
from participant.statistics.language.layout import Array
from participant.statistics.models.special import expit
from participant.statistics.models.trainer import Assessed


class DescentSettings(Strict):
    """Parameters of the module's formula."""

    steps: int = Field(ge=1, le=100_000)
    rate: FiniteFloat = Field(gt=0)
    penalty: FiniteFloat = Field(ge=0)
    proximal: FiniteFloat = Field(ge=0)


class GradientDescent(ABC):
    """Gradient descent with one weight for each covariate; any intercept is a column of the design."""

    Settings = DescentSettings

    def size(self, covariates: int, settings: DescentSettings) -> int:  # noqa: ARG002 - a Trainer's signature
        return covariates

    def train(self, weights: Array, covariates: Array, outcome: Array, settings: DescentSettings) -> Array:
        w = weights
        with np.errstate(over="ignore", invalid="ignore"):  # too high a rate ends in NaN, which is counted
            for _ in range(settings.steps):
                gradient = covariates.T @ (self.mean(covariates @ w) - outcome) / len(outcome)
                w = w - settings.rate * (gradient + settings.penalty * w + settings.proximal * (w - weights))
        return w

    def assess(
        self,
        weights: Array,
        covariates: Array,
        outcome: Array,
        settings: DescentSettings,  # noqa: ARG002 - a Trainer's signature
    ) -> Assessed:
        linear = covariates @ weights
        return Assessed(float(self.losses(linear, outcome).mean()), self.correct(linear, outcome))

    @abstractmethod
    def mean(self, linear: Array) -> Array:
        """Return the predicted outcome."""

    @abstractmethod
    def losses(self, linear: Array, outcome: Array) -> Array:
        """Return the loss of each row."""

    def correct(self, linear: Array, outcome: Array) -> int | None:  # noqa: ARG002 - for classes
        """Return the number of rows whose class is predicted correctly, or None if the outcome is not a class."""
        return None


class LinearRegression(GradientDescent):
    """Least squares."""

    def mean(self, linear: Array) -> Array:
        return linear

    def losses(self, linear: Array, outcome: Array) -> Array:
        return (outcome - linear) ** 2 / 2


class LogisticRegression(GradientDescent):
    """Logistic regression for outcomes from 0 to 1."""

    def mean(self, linear: Array) -> Array:
        result: Array = expit(linear)
        return result

    def losses(self, linear: Array, outcome: Array) -> Array:
        result: Array = np.logaddexp(0.0, linear) - outcome * linear
        return result

    def correct(self, linear: Array, outcome: Array) -> int:
        return int(np.count_nonzero((linear > 0) == (outcome > 0.5)))
