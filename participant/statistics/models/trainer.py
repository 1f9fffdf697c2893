"""Trainers: code of a site's own that improves a model on its rows.

A trainer is installed at the site, by its own people, as an entry point of the group ``secagg.trainers``; a query names
it and never brings it. Everything that it may depend on is an argument, so the same query gives the same update.
"""

from functools import cache
from importlib.metadata import entry_points
from typing import NamedTuple, Protocol, TypeVar

from participant.statistics.language.conditions import Strict
from participant.statistics.language.layout import Array
from secagg.errors import ParameterError

GROUP = "secagg.trainers"

S = TypeVar("S", bound=Strict)
S_contra = TypeVar("S_contra", bound=Strict, contravariant=True)


class Assessed(NamedTuple):
    """How good a model is on some rows.

    Attributes:
        loss: mean loss of a row, without penalty; NaN or infinity where there is none.
        correct: rows whose class is the predicted one; None if the outcome is no class.
    """

    loss: float
    correct: int | None


class Trainer(Protocol[S_contra]):
    """One way to train one kind of model."""

    Settings: type[Strict]
    """Schema of the settings that a query gives; no field has a default."""

    def size(self, covariates: int, settings: S_contra) -> int:
        """Return the number m of weights of a model with so many covariates."""

    def train(self, weights: Array, covariates: Array, outcome: Array, settings: S_contra) -> Array:
        """Train on the rows of this site, and return the (m,) weights afterwards; NaN or infinity where that failed.

        Args:
            weights: (m,) of the model as the round begins.
            covariates: (rows, p), at least one row.
            outcome: (rows,).
            settings: as the query gives them.
        """

    def assess(self, weights: Array, covariates: Array, outcome: Array, settings: S_contra) -> Assessed:
        """Return how good a model is on the rows of this site; arguments as for `train`."""


class NoTrainerError(ParameterError):
    """No trainer of this name is installed here."""


def installed() -> tuple[str, ...]:
    """Return the names of the trainers that are installed here, sorted."""
    return tuple(sorted(entry_points(group=GROUP).names))


@cache
def trainer(name: str) -> "Trainer[Strict]":
    """Return an installed trainer.

    Raises:
        NoTrainerError: there is none of this name.
    """
    try:
        (entry,) = entry_points(group=GROUP, name=name)
    except ValueError:
        known = ", ".join(installed()) or "none"
        raise NoTrainerError(f"no trainer named {name} is installed here; known are {known}") from None
    made: Trainer[Strict] = entry.load()()
    return made
