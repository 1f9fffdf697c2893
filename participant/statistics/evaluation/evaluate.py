"""From a query and a table to the vector that leaves the site, masked.

A site refuses on public grounds alone: the dataset lacks a column, it has more rows than the query's limit, the query
is not of the vocabulary. Whatever depends on a patient - an empty group, a small one, a value out of range, a missing
one - is part of the sum instead, because who drops out on such grounds tells something about a patient.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from participant.statistics.evaluation import suppression
from participant.statistics.evaluation.registry import statistic_of
from participant.statistics.language.conditions import meets
from participant.statistics.language.disclosure import Disclosure
from participant.statistics.language.layout import Array, Arrays, Layout
from participant.statistics.language.query import Query
from participant.statistics.language.statistic import ROWS_PER_PARAMETER, Columns, Statistic
from participant.statistics.vocabulary import ranges
from secagg.errors import ParameterError


class MissingColumnsError(ParameterError):
    """The dataset has not all the columns that are asked for.

    Attributes:
        dataset: its name.
        columns: the names that it lacks.
    """

    def __init__(self, dataset: str, columns: Collection[str]) -> None:
        self.dataset = dataset
        self.columns = tuple(sorted(columns))
        super().__init__(f"dataset {dataset} has no column named {', '.join(self.columns)}")


class RowLimitError(ParameterError):
    """The dataset has more rows than the query's row limit. That much, and no more, shows when the site declines."""


def layout_of(query: Query) -> Layout:
    """Return the layout of the vector that answers a query; all parties find the same one.

    Raises:
        QueryError: the query is not of the vocabulary.
        ParameterError: its vector would be too long, its bounds too large, or its ranges do not fit.
    """
    statistic = statistic_of(query)
    layout = statistic.layout(statistic.read(query))
    if query.minimum_persons > 1:
        layout = Layout(layout.blocks + suppression.lanes(layout))
    return layout if query.ranges is None else ranges.narrowed(layout, query.ranges)


def disclosure_of(query: Query) -> Disclosure:
    """Return what the answer to a query tells. Raises as `layout_of`."""
    statistic = statistic_of(query)
    return replace(statistic.disclosure(statistic.read(query)), filtered=bool(query.filter))


def is_of_cells(query: Query) -> bool:
    """Return whether the answer counts people in cells, such as those of a table. Raises as `layout_of`."""
    statistic = statistic_of(query)
    return bool(suppression.counting(statistic.layout(statistic.read(query))))


def check_dataset(query: Query, columns: Collection[str], rows: int) -> None:
    """Check that a dataset can answer a query, from its description alone.

    Args:
        query: what is asked.
        columns: the dataset's numeric columns.
        rows: its rows, before any filter.

    Raises:
        QueryError: the query is not of the vocabulary.
        MissingColumnsError: the dataset lacks a column.
        RowLimitError: it has more rows than the query's limit.
    """
    limit = statistic_of(query).read(query).row_limit
    if missing := set(query.needs) - set(columns):
        raise MissingColumnsError(query.dataset, missing)
    if rows > limit:
        raise RowLimitError(f"dataset {query.dataset} has more rows than the query's limit of {limit}")


def rows_asked(query: Query, table: Columns) -> NDArray[np.bool_]:
    """Return which rows a query is about, those that meet its filter and are `usable`, (rows,) bool."""
    rows = usable(query, table)
    for condition in query.filter:
        rows &= meets(condition, table)
    statistic = statistic_of(query)
    return statistic.asked(statistic.read(query), table, rows, query.minimum_persons)


def usable(query: Query, table: Columns) -> NDArray[np.bool_]:
    """Return which rows the rule for missing values lets into a sum, whatever the filter, (rows,) bool."""
    statistic = statistic_of(query)
    rows = statistic.usable(statistic.read(query), table)
    if query.missing == "complete-cases":
        for name in query.columns:
            rows &= ~np.isnan(table[name])
    return rows


def evaluate(query: Query, table: Columns, rows: NDArray[np.bool_] | None = None) -> Array:
    """Return the site's vector: rows, statistic, floor, ranges.

    Args:
        query: what is asked.
        table: at least the columns `query.needs` of all rows, (rows,) float64, NaN where a value is missing.
        rows: which rows to answer with, all of them `usable`; by default those of `rows_asked`.

    Returns:
        (d,) float64, finite, every entry within the bounds of `layout_of(query)`.

    Raises:
        QueryError: the query is not of the vocabulary.
        MissingColumnsError: the table lacks a column.
        RowLimitError: it has more rows than the query's limit.
        ParameterError: the table's columns are not equally long, or hold infinity.
    """
    check_dataset(query, table.keys(), _rows(query, table))
    statistic = statistic_of(query)
    kept = rows_asked(query, table) if rows is None else rows
    columns = {name: table[name][kept] for name in query.columns}
    layout = layout_of(query)
    arrays = _floored(query, statistic, columns, layout)
    if query.ranges is None:
        return layout.flatten(arrays)
    return ranges.clipped(layout, arrays)


def _rows(query: Query, table: Columns) -> int:
    given = [table[name] for name in query.needs if name in table]
    if any(column.dtype != np.float64 or column.ndim != 1 or np.isinf(column).any() for column in given):
        raise ParameterError("the columns of a table are one-dimensional float64 without infinity")
    if len(lengths := {len(column) for column in given}) > 1:
        raise ParameterError("the columns of a table are equally long")
    return lengths.pop() if lengths else 0


def _floored(query: Query, statistic: Statistic[Any], columns: Columns, layout: Layout) -> Arrays:
    """Return the statistic's arrays as the floor lets them go, with the lanes that say what it hid."""
    params = statistic.read(query)
    if query.minimum_persons == 1:
        return statistic.total(params, columns)
    rows = len(columns[query.columns[0]])
    persons = statistic.persons(params, columns) if rows else 0
    if 0 < persons < query.minimum_persons or 0 < rows < ROWS_PER_PARAMETER * statistic.parameters(params):
        return suppression.zeros(layout)
    arrays = dict(statistic.total(params, columns)) | {suppression.WITHHELD: np.array(0.0)}
    return suppression.suppress(layout, arrays, query.minimum_persons)
