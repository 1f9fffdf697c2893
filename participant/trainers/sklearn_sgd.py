"""Stochastic gradient descent for logistic regression with scikit-learn (the extra ``sklearn``).

The weights are the covariates' coefficients, then the intercept; the design has none. After each epoch over n
rows, in steps of one row each, a proximal step for the whole `proximal` term pulls the weights back towards those that
the site received, w_0:

    w <- w_0 + (w - w_0) / (1 + rate n proximal)

Source: Parikh, Boyd 2014, Found Trends Optim 1:127, section 4.2, on stepping through the terms of a sum in turn.
"""

from typing import Literal

import numpy as np
from pydantic import Field, FiniteFloat
from sklearn.linear_model import SGDClassifier

from participant.statistics.language.conditions import Strict
from participant.statistics.language.layout import Array
from participant.statistics.models.trainer import Assessed


class SgdSettings(Strict):
    """`epochs` over all rows, in an order that `seed` fixes; `loss`, `rate` and `penalty` as in scikit-learn;
    `proximal` as in the module's formula.
    """

    loss: Literal["log_loss", "modified_huber"]
    epochs: int = Field(ge=1, le=1000)
    rate: FiniteFloat = Field(gt=0)
    penalty: FiniteFloat = Field(ge=0)
    proximal: FiniteFloat = Field(ge=0)
    seed: int = Field(ge=0, lt=1 << 32)


class SgdLogisticRegression:
    """Logistic regression for the outcomes 0 and 1."""

    Settings = SgdSettings

    def size(self, covariates: int, settings: SgdSettings) -> int:  # noqa: ARG002 - a Trainer's signature
        return covariates + 1

    def train(self, weights: Array, covariates: Array, outcome: Array, settings: SgdSettings) -> Array:
        model = SGDClassifier(
            loss=settings.loss,
            alpha=settings.penalty,
            learning_rate="constant",
            eta0=settings.rate,
            shuffle=True,
            random_state=settings.seed,
        )
        classes = (outcome > 0.5).astype(np.int64)
        # The first call allocates the weight arrays, which are then set to the round's weights.
        model.partial_fit(covariates[:1], classes[:1], classes=[0, 1])
        model.coef_[:], model.intercept_[:] = weights[:-1], weights[-1]
        kept = 1 / (1 + settings.rate * len(outcome) * settings.proximal)
        for _ in range(settings.epochs):
            model.partial_fit(covariates, classes)
            if settings.proximal:
                model.coef_[:] = weights[:-1] + (model.coef_ - weights[:-1]) * kept
                model.intercept_[:] = weights[-1] + (model.intercept_ - weights[-1]) * kept
        return np.append(model.coef_[0], model.intercept_[0])

    def assess(
        self,
        weights: Array,
        covariates: Array,
        outcome: Array,
        settings: SgdSettings,  # noqa: ARG002 - a Trainer's signature
    ) -> Assessed:
        """Return the negative log-likelihood, whatever the training loss."""
        linear, classes = covariates @ weights[:-1] + weights[-1], outcome > 0.5
        loss = float((np.logaddexp(0.0, linear) - classes * linear).mean())
        return Assessed(loss, int(np.count_nonzero((linear > 0) == classes)))
