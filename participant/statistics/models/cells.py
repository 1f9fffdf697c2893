"""Cells: the groups formed by the levels of one or several categories."""

from math import prod
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from participant.statistics.language.statistic import Columns
from participant.statistics.models.design import Category

MAX_CELLS = 100_000
MAX_CATEGORIES = 4


def few_cells(categories: tuple[Category, ...]) -> tuple[Category, ...]:
    """Validate that categories do not form too many cells, and that no column is listed twice."""
    if len({category.column for category in categories}) != len(categories):
        raise ValueError("a category is listed twice")
    if prod(cells_of(categories)) > MAX_CELLS:
        raise ValueError(f"the categories form more than {MAX_CELLS} cells; use fewer categories or levels")
    return categories


Categories = Annotated[tuple[Category, ...], Field(max_length=MAX_CATEGORIES), AfterValidator(few_cells)]


def cells_of(categories: tuple[Category, ...]) -> tuple[int, ...]:
    """Return the shape of the cells: for each category its number of levels, plus one for other codes."""
    return tuple(len(category.levels) + 1 for category in categories)


def cell_of(categories: tuple[Category, ...], columns: Columns) -> NDArray[np.intp]:
    """Return the cell of each row, as an index into the cells in C order."""
    rows = len(next(iter(columns.values())))
    cell = np.zeros(rows, np.intp)
    for category in categories:
        cell = cell * (len(category.levels) + 1) + category.index(columns)
    return cell
