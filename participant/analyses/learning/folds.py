"""Folds of the rows of all sites, for cross-validation and held-out rows.

A row's own values determine its fold (`participant.statistics.language.conditions.Fold`), so the folds are those of one
pooled table, however its rows are distributed over sites, and no site discloses which rows are in which fold. Rows with
equal values stay together, so no fold is tested on copies of its training rows.
"""

from typing import Annotated

from pydantic import Field

from participant.statistics.language.conditions import MAX_FOLDS, Fold
from participant.statistics.language.query import MAX_COLUMNS, Name, Strict


class Folds(Strict):
    """A division of the rows into folds.

    Attributes:
        of: number of folds.
        seed: seed that determines the folds.
        by: columns whose values determine the fold, for example a person's identifier; default: all columns of the
            model.
    """

    of: int = Field(default=5, ge=2, le=MAX_FOLDS)
    seed: int = Field(default=0, ge=0, lt=1 << 32)
    by: Annotated[tuple[Name, ...], Field(max_length=MAX_COLUMNS)] = ()

    def test(self, number: int, columns: tuple[str, ...]) -> Fold:
        """Return the rows of a fold, for a model that reads these columns."""
        return Fold(columns=self.by or columns, of=self.of, folds=(number,), seed=self.seed)

    def training(self, number: int, columns: tuple[str, ...]) -> Fold:
        """Return the rows of all other folds."""
        return self.test(number, columns).others
