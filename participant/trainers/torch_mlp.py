"""A small neural network in PyTorch (not a requirement of this package: install torch at the site).

One hidden layer with hyperbolic tangent activation and a logistic output; the weights are those of both layers in the
order of `torch.nn.utils.parameters_to_vector`.
"""

import torch
from pydantic import Field, FiniteFloat

from participant.statistics.language.conditions import Strict
from participant.statistics.language.layout import Array
from participant.statistics.models.trainer import Assessed


class MlpSettings(Strict):
    """`hidden` units; `epochs` of Adam over batches of `batch` rows, in an order that `seed` fixes. The loss adds
    `proximal` times half the squared distance from the received weights.
    """

    hidden: int = Field(ge=1, le=256)
    epochs: int = Field(ge=1, le=1000)
    batch: int = Field(ge=1)
    rate: FiniteFloat = Field(gt=0)
    proximal: FiniteFloat = Field(ge=0)
    seed: int = Field(ge=0, lt=1 << 63)


class Mlp:
    """A neural network for outcomes from 0 to 1."""

    Settings = MlpSettings

    def size(self, covariates: int, settings: MlpSettings) -> int:
        return (covariates + 2) * settings.hidden + 1

    def train(self, weights: Array, covariates: Array, outcome: Array, settings: MlpSettings) -> Array:
        model = _model(weights, covariates, settings)
        x, y = torch.from_numpy(covariates.copy()), torch.from_numpy(outcome.copy())
        measure = torch.nn.BCEWithLogitsLoss()
        given = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
        order = torch.Generator().manual_seed(settings.seed)
        adam = torch.optim.Adam(model.parameters(), lr=settings.rate)
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(y), generator=order).split(settings.batch):
                adam.zero_grad()
                moved = torch.nn.utils.parameters_to_vector(model.parameters()) - given
                (measure(model(x[rows])[:, 0], y[rows]) + settings.proximal / 2 * moved @ moved).backward()
                adam.step()
        after: Array = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
        return after

    def assess(self, weights: Array, covariates: Array, outcome: Array, settings: MlpSettings) -> Assessed:
        y = torch.from_numpy(outcome.copy())
        with torch.no_grad():
            linear = _model(weights, covariates, settings)(torch.from_numpy(covariates.copy()))[:, 0]
            loss = float(torch.nn.BCEWithLogitsLoss()(linear, y))
        return Assessed(loss, int(((linear > 0) == (y > 0.5)).sum()))


def _model(weights: Array, covariates: Array, settings: MlpSettings) -> torch.nn.Module:
    """Return the network with these weights, in double precision."""
    model = torch.nn.Sequential(
        torch.nn.Linear(covariates.shape[1], settings.hidden), torch.nn.Tanh(), torch.nn.Linear(settings.hidden, 1)
    ).double()
    torch.nn.utils.vector_to_parameters(torch.from_numpy(weights.copy()), model.parameters())
    return model
