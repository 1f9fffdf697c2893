"""A small neural network in PyTorch (not among this package's requirements: install torch at the site).

One hidden layer with the hyperbolic tangent, a logistic output; the weights are those of both layers in the order of
`torch.nn.utils.parameters_to_vector`.
"""

import torch
from pydantic import Field, FiniteFloat

from participant.statistics.conditions import Strict
from participant.statistics.layout import Array
from participant.statistics.trainer import Trained


class MlpSettings(Strict):
    """`hidden` units; `epochs` of Adam over batches of `batch` rows, in an order that `seed` fixes."""

    hidden: int = Field(ge=1, le=256)
    epochs: int = Field(ge=1, le=1000)
    batch: int = Field(ge=1)
    rate: FiniteFloat = Field(gt=0)
    seed: int = Field(ge=0, lt=1 << 63)


class Mlp:
    """Outcomes from 0 to 1."""

    Settings = MlpSettings

    def size(self, covariates: int, settings: MlpSettings) -> int:
        return (covariates + 2) * settings.hidden + 1

    def train(self, weights: Array, covariates: Array, outcome: Array, settings: MlpSettings) -> Trained:
        model = torch.nn.Sequential(
            torch.nn.Linear(covariates.shape[1], settings.hidden), torch.nn.Tanh(), torch.nn.Linear(settings.hidden, 1)
        ).double()
        torch.nn.utils.vector_to_parameters(torch.from_numpy(weights), model.parameters())
        x, y = torch.from_numpy(covariates.copy()), torch.from_numpy(outcome.copy())
        measure = torch.nn.BCEWithLogitsLoss()
        with torch.no_grad():
            before = float(measure(model(x)[:, 0], y))
        order = torch.Generator().manual_seed(settings.seed)
        adam = torch.optim.Adam(model.parameters(), lr=settings.rate)
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(y), generator=order).split(settings.batch):
                adam.zero_grad()
                measure(model(x[rows])[:, 0], y[rows]).backward()
                adam.step()
        after = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
        return Trained(after.numpy(), before)
