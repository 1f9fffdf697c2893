"""Folds of the rows of all sites, for cross-validation and rows that are held out.

In which fold a row is, follows from its own values (`participant.statistics.language.conditions.Fold`): the folds are
those of one table with all rows, however they are spread over the sites, and no site tells anybody which rows are
where. Rows that are alike in the columns are together, so no fold is tested on a copy of what it was trained on.
"""

from typing import Annotated

from pydantic import Field

from participant.statistics.language.conditions import MAX_FOLDS, Fold
from participant.statistics.language.query import MAX_COLUMNS, Name, Strict


class Folds(Strict):
    """How the rows are divided.

    Attributes:
        of: how many folds there are.
        seed: another one, other folds.
        by: the columns whose values say in which fold a row is, such as a person's number; none: all of the model.
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
