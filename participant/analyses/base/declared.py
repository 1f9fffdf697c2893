"""Warnings about values, counted in the sums, beyond a column's declared range or levels."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from participant.analyses.base.errors import CodingError, NoRowsError
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Category


def warn_of_outside(columns: Iterable[str], outside: Iterable[float]) -> Iterator[str]:
    """Yield a warning for each column with values that were clipped to its range, or that are not declared levels."""
    for column, count in zip(columns, outside, strict=True):
        if round(float(count)):
            yield f"{float(count):.0f} values of {column} lie outside their declared range or levels"


def warn_of_other_codes(by: Sequence[Category], counts: Array) -> Iterator[str]:
    """Yield a warning for each category with undeclared codes; the last cell of `counts` counts their rows."""
    for axis, category in enumerate(by):
        others = float(np.take(counts, -1, axis).sum())
        if round(others):
            yield f"{others:.0f} rows have a code of {category.column} that is not a declared level; they are left out"


def check_binary(column: str, odd: float) -> None:
    """Raise CodingError if some rows, `odd` of them across all sites, have another value of a column than 0 and 1."""
    if round(odd):
        raise CodingError(
            f"across all sites, {odd:.0f} rows have a value of {column} other than 0 and 1; recode them, or leave them "
            f"out by a filter. A formula can name the value that counts as 1, for example I({column} == 2)"
        )


def levels_of(category: Category) -> tuple[str, ...]:
    """Return the names of a category's levels, such as ``sex[2]``."""
    return tuple(f"{category.column}[{level:g}]" for level in category.levels)


def refusal(complaint: str, warnings: Iterable[str]) -> NoRowsError:
    """Return the error for too few rows, with warnings about hidden or omitted rows."""
    return NoRowsError("; ".join([complaint, *warnings]))


def occurring(category: Category, rows: Array, warnings: Iterable[str]) -> tuple[NDArray[np.intp], list[str]]:
    """Return the positions of the levels that have rows, and a warning that names the levels without rows.

    Args:
        category: category with the levels.
        rows: (L,) number of rows of each level across all sites.
        warnings: warnings about rows that `rows` does not count.

    Raises:
        NoRowsError: fewer than two levels have rows.
    """
    names, there = levels_of(category), np.flatnonzero(rows)
    if len(there) < 2:
        only = names[there[0]] if len(there) else "no declared level"
        raise refusal(f"all rows in the sums have {only}; the analysis compares at least two levels", warnings)
    absent = [name for name, count in zip(names, rows, strict=True) if not count]
    return there, [f"no row has {', '.join(absent)}; the analysis leaves it out"] if absent else []
