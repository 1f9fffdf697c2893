"""Evaluation of a query on a table: the vector that leaves the site in masked form.

A site refuses only on public grounds: the dataset lacks a column or has more rows than the query's limit, or the query
is not in the vocabulary. Anything that depends on a patient - an empty or small group, a value that is missing or out
of range - becomes part of the sum, because refusing on such grounds would disclose something about a patient.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from participant.statistics.evaluation import supports, suppression
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.language.conditions import meets
from participant.statistics.language.draws import drawn
from participant.statistics.language.layout import Array, Arrays
from participant.statistics.language.statistic import ROWS_PER_PARAMETER, Columns
from participant.statistics.vocabulary import ranges
from secagg.errors import ParameterError


class MissingColumnsError(ParameterError):
    """The dataset lacks some of the requested columns, or they hold text.

    Attributes:
        dataset: name of the dataset.
        columns: names of the missing columns.
    """

    def __init__(self, dataset: str, columns: Collection[str]) -> None:
        self.dataset = dataset
        self.columns = tuple(sorted(columns))
        named = ", ".join(self.columns)
        super().__init__(f"dataset {dataset} has no numbers in these columns, or lacks them: {named}")


class RowLimitError(ParameterError):
    """The dataset has more rows than the query's row limit. A refusal discloses only this."""


def check_dataset(bound: BoundQuery, columns: Collection[str], rows: int) -> None:
    """Check that a dataset can answer a query, from its description alone.

    Args:
        bound: the query.
        columns: numeric columns of the dataset.
        rows: number of rows of the dataset, before any filter.

    Raises:
        MissingColumnsError: the dataset lacks a column.
        RowLimitError: the dataset has more rows than the query's limit.
    """
    limit = bound.params.row_limit
    if missing := set(bound.query.needs) - set(columns):
        raise MissingColumnsError(bound.query.dataset, missing)
    if rows > limit:
        raise RowLimitError(f"dataset {bound.query.dataset} has more rows than the query's limit of {limit}")


def rows_asked(bound: BoundQuery, table: Columns) -> NDArray[np.bool_]:
    """Return the rows that a query covers: those that meet its filter and are `usable`, (rows,) bool."""
    rows = usable(bound, table)
    for condition in bound.query.filter:
        rows &= meets(condition, table)
    floor = 1 if bound.query.pooled else bound.query.minimum_persons
    return bound.statistic.asked(bound.params, table, rows, floor)


def usable(bound: BoundQuery, table: Columns) -> NDArray[np.bool_]:
    """Return the rows that the missing-value rule admits, ignoring the filter, (rows,) bool."""
    rows = bound.statistic.usable(bound.params, table)
    if bound.query.missing == "complete-cases":
        for name in bound.query.columns:
            rows &= ~np.isnan(table[name])
    return rows


def evaluate(bound: BoundQuery, table: Columns, rows: NDArray[np.bool_] | None = None) -> Array:
    """Return the site's vector, after selecting rows and applying statistic, floor and ranges.

    Args:
        bound: the query.
        table: all rows of at least the columns `query.needs`, (rows,) float64, NaN for a missing value.
        rows: rows to answer with, all `usable`; default: `rows_asked`.

    Returns:
        (d,) float64, finite, every entry within the bounds of the query's layout.

    Raises:
        MissingColumnsError: the table lacks a column.
        RowLimitError: the dataset has more rows than the query's limit.
        ParameterError: the table's columns differ in length, or hold infinity.
    """
    check_dataset(bound, table.keys(), _rows(bound, table))
    kept = rows_asked(bound, table) if rows is None else rows
    columns = {name: table[name][kept] for name in bound.query.columns}
    if bound.query.pooled:
        asked: Array = np.array(float(np.count_nonzero(kept)))
        arrays: Arrays = {**bound.statistic.pooled_total(bound.params, columns), suppression.ASKED: asked}
        support = supports.vector(bound.statistic, bound.params, columns, _secret(columns))
        return np.concatenate([_flat(bound, arrays), support])
    return _flat(bound, _floored(bound, columns))


def _flat(bound: BoundQuery, arrays: Arrays) -> Array:
    layout = bound.published
    return layout.flatten(arrays) if bound.query.ranges is None else ranges.clipped(layout, arrays)


def _rows(bound: BoundQuery, table: Columns) -> int:
    given = [table[name] for name in bound.query.needs if name in table]
    if any(column.dtype != np.float64 or column.ndim != 1 or np.isinf(column).any() for column in given):
        raise ParameterError("the columns of a table must be one-dimensional float64 without infinity")
    if len(lengths := {len(column) for column in given}) > 1:
        raise ParameterError("the columns of a table must have equal length")
    return lengths.pop() if lengths else 0


def _floored(bound: BoundQuery, columns: Columns) -> Arrays:
    """Return the statistic's arrays, or zeros if anything in them is small, with the lanes that count persons."""
    floor, params, statistic = bound.query.minimum_persons, bound.params, bound.statistic
    if floor == 1:
        return statistic.total(params, columns)
    layout, rows = statistic.layout(params), len(columns[bound.query.columns[0]])
    asked = float(rows if rows >= floor else 0)
    arrays = _shown(bound, columns) if asked else None
    answered = 0.0 if arrays is None else asked
    counts = {suppression.ASKED: np.array(asked), suppression.ANSWERED: np.array(answered)}
    if arrays is None:
        return suppression.zeros(layout) | counts
    return suppression.rounded(layout, arrays, rows, floor, _secret(columns)) | counts


def _secret(columns: Columns) -> int:
    """Return 64 bits that only a party with all the rows can compute."""
    values = [np.nan_to_num(column, nan=-1.0) for column in columns.values()]
    return int(drawn(values, len(values)).sum(dtype=np.uint64))


def _shown(bound: BoundQuery, columns: Columns) -> Arrays | None:
    """Return the statistic's arrays, or None if anything in them must be hidden, or a model has too few rows."""
    floor, params, statistic = bound.query.minimum_persons, bound.params, bound.statistic
    if len(columns[bound.query.columns[0]]) < ROWS_PER_PARAMETER * statistic.parameters(params):
        return None
    if 0 < statistic.persons(params, columns) < floor:
        return None
    support = statistic.supported(params, columns)
    if suppression.is_small(support, floor):
        return None
    arrays = statistic.total(params, columns)
    masks = suppression.hidden(statistic.layout(params), arrays, support, floor)
    return None if any(mask.any() for mask in masks.values()) else arrays
