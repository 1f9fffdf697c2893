"""Stochastic gradient descent for logistic regression by scikit-learn (the extra ``sklearn``).

The weights are the coefficients of the covariates, then the intercept; the design has none. After each epoch over n
rows, in steps of one row each, the weights are drawn back to those that the site was given, w_0, by the proximal step
of the `proximal` term as a whole:

    w <- w_0 + (w - w_0) / (1 + rate n proximal)

Source: Parikh, Boyd 2014, Found Trends Optim 1:127, section 4.2, for steps of one part of a sum after the other.
"""

from typing import Literal

import numpy as np
from pydantic import Field, FiniteFloat
from sklearn.linear_model import SGDClassifier

from participant.statistics.language.conditions import Strict
from participant.statistics.language.layout import Array
from participant.statistics.models.trainer import Assessed


class SgdSettings(Strict):
    """`epochs` over all rows, in an order that `seed` fixes; `loss`, `rate` and `penalty` as scikit-learn has them;
    `proximal` as in the module's formula.
    """

    loss: Literal["log_loss", "modified_huber"]
    epochs: int = Field(ge=1, le=1000)
    rate: FiniteFloat = Field(gt=0)
    penalty: FiniteFloat = Field(ge=0)
    proximal: FiniteFloat = Field(ge=0)
    seed: int = Field(ge=0, lt=1 << 32)


class SgdLogisticRegression:
    """Outcomes 0 and 1."""

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
        # The first call makes the arrays that hold the weights; then they are set to those of the round.
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
        """Return the negative log-likelihood, whatever the loss that is trained with."""
        linear, classes = covariates @ weights[:-1] + weights[-1], outcome > 0.5
        loss = float((np.logaddexp(0.0, linear) - classes * linear).mean())
        return Assessed(loss, int(np.count_nonzero((linear > 0) == classes)))
