"""Stochastic gradient descent for logistic regression by scikit-learn (the extra ``sklearn``).

The weights are the coefficients of the covariates, then the intercept; the design has none.
"""

from typing import Literal

import numpy as np
from pydantic import Field, FiniteFloat
from sklearn.linear_model import SGDClassifier

from participant.statistics.conditions import Strict
from participant.statistics.layout import Array
from participant.statistics.trainer import Trained


class SgdSettings(Strict):
    """`epochs` over all rows, in an order that `seed` fixes; `loss`, `rate` and `penalty` as scikit-learn has them."""

    loss: Literal["log_loss", "modified_huber"]
    epochs: int = Field(ge=1, le=1000)
    rate: FiniteFloat = Field(gt=0)
    penalty: FiniteFloat = Field(ge=0)
    seed: int = Field(ge=0, lt=1 << 32)


class SgdLogisticRegression:
    """Outcomes 0 and 1."""

    Settings = SgdSettings

    def size(self, covariates: int, settings: SgdSettings) -> int:  # noqa: ARG002 - a Trainer's signature
        return covariates + 1

    def train(self, weights: Array, covariates: Array, outcome: Array, settings: SgdSettings) -> Trained:
        model = SGDClassifier(
            loss=settings.loss,
            alpha=settings.penalty,
            learning_rate="constant",
            eta0=settings.rate,
            shuffle=True,
            random_state=settings.seed,
        )
        classes = (outcome > 0.5).astype(np.int64)
        # The first call makes the arrays that hold the weights; then they are set to those of the round.
        model.partial_fit(covariates[:1], classes[:1], classes=[0, 1])
        model.coef_[:], model.intercept_[:] = weights[:-1], weights[-1]
        linear = covariates @ weights[:-1] + weights[-1]
        for _ in range(settings.epochs):
            model.partial_fit(covariates, classes)
        loss = float((np.logaddexp(0.0, linear) - classes * linear).mean())
        return Trained(np.append(model.coef_[0], model.intercept_[0]), loss)
