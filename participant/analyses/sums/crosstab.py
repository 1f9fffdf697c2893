"""The cross table of two categories across all sites: one exact round of `contingency`."""

from typing import NamedTuple

import numpy as np

from participant.analyses.base.declared import levels_of, occurring, refusal, warn_of_other_codes
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.registry import CONTINGENCY
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Category
from participant.statistics.vocabulary.contingency import ContingencyParams


class CrossTable(NamedTuple):
    """Counts of rows, (R, C), for the levels that occur; a warning names the levels without rows."""

    counts: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    sites: tuple[str, ...]
    warnings: tuple[str, ...]


async def crosstab(spec: TableSpec, secure_sum: SecureSum, row: Category, column: Category) -> CrossTable:
    """Return how many rows have each combination of levels.

    Raises:
        NoRowsError: there are no rows, or one of the categories has a single level.
    """
    params = ContingencyParams(by=(row, column), row_limit=spec.row_limit)
    answer = await secure_sum(spec.ask(CONTINGENCY, params, secure_sum.value_bits))
    counts = answer.values["counts"][:-1, :-1]
    warnings = [
        *spec.warn_of_withheld(answer.values),
        *warn_of_other_codes((row, column), answer.values["counts"]),
    ]
    if not counts.any():
        raise refusal("across all sites, no row meets the filter and has both values", warnings)
    rows, absent_rows = occurring(row, counts.sum(axis=1), warnings)
    columns, absent_columns = occurring(column, counts.sum(axis=0), warnings)
    return CrossTable(
        counts[np.ix_(rows, columns)],
        tuple(levels_of(row)[i] for i in rows),
        tuple(levels_of(column)[i] for i in columns),
        answer.sites,
        (*warnings, *absent_rows, *absent_columns),
    )


def cell_names(rows: tuple[str, ...], columns: tuple[str, ...]) -> list[str]:
    """Return the names of a table's cells, row by row."""
    return [f"{row}, {column}" for row in rows for column in columns]
