"""Trainers: a site's own code that improves a model on its rows.

The site's own staff install a trainer, as an entry point of the group ``secagg.trainers``; a query names
it and never carries it. A trainer may depend only on its arguments, so equal queries over the same rows give equal
updates.
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
    """A model's performance on a set of rows.

    Attributes:
        loss: mean loss per row, without penalty; NaN or infinity if it is undefined.
        correct: number of rows whose class, 0 or 1, is predicted correctly; None if the outcome is not a class.
    """

    loss: float
    correct: int | None


class Trainer(Protocol[S_contra]):
    """A way to train one kind of model."""

    Settings: type[Strict]
    """Schema of the settings in a query; no field has a default."""

    def size(self, covariates: int, settings: S_contra) -> int:
        """Return the number m of weights of a model with that many covariates."""

    def train(self, weights: Array, covariates: Array, outcome: Array, settings: S_contra) -> Array:
        """Train on this site's rows, and return the resulting (m,) weights; NaN or infinity if training failed.

        Args:
            weights: (m,) weights at the start of the round.
            covariates: (rows, p) covariates, at least one row.
            outcome: (rows,) outcomes.
            settings: settings from the query.
        """

    def assess(self, weights: Array, covariates: Array, outcome: Array, settings: S_contra) -> Assessed:
        """Assess a model on this site's rows; arguments as for `train`."""


class NoTrainerError(ParameterError):
    """No trainer of this name is installed here."""


def installed() -> tuple[str, ...]:
    """Return the names of the trainers that are installed here, sorted."""
    return tuple(sorted(entry_points(group=GROUP).names))


@cache
def trainer(name: str) -> "Trainer[Strict]":
    """Return an installed trainer.

    Raises:
        NoTrainerError: there is no trainer of this name.
    """
    try:
        (entry,) = entry_points(group=GROUP, name=name)
    except ValueError:
        known = ", ".join(installed()) or "none"
        raise NoTrainerError(f"the trainer {name} is not installed here; installed are: {known}") from None
    made: Trainer[Strict] = entry.load()()
    return made
