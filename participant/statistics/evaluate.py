"""From a query and a table to the vector that leaves the site, masked.

A site refuses on public grounds alone: the dataset lacks a column, it has more rows than the query's limit, the query
is not of the vocabulary. Whatever depends on a patient - an empty group, a value out of range, a missing one - is part
of the sum instead, because who drops out on such grounds tells something about a patient.
"""

import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from participant.statistics.counts import Counts
from participant.statistics.cox_risk_sets import CoxRiskSets
from participant.statistics.disclosure import Disclosure
from participant.statistics.event_counts import EventCounts
from participant.statistics.layout import Array, Layout
from participant.statistics.moments import Moments
from participant.statistics.query import Comparison, Query, QueryError
from participant.statistics.statistic import Columns, Statistic
from secagg.errors import ParameterError

COUNTS = Counts()
MOMENTS = Moments()
EVENT_COUNTS = EventCounts()
COX_RISK_SETS = CoxRiskSets()

STATISTICS: Mapping[str, Statistic[Any]] = {
    statistic.name: statistic for statistic in (COUNTS, MOMENTS, EVENT_COUNTS, COX_RISK_SETS)
}
"""The vocabulary by name. Sites approve these, never code from outside."""

_OPERATORS: Mapping[str, Callable[[Array, float], NDArray[np.bool_]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


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


def statistic_of(query: Query) -> Statistic[Any]:
    """Return the statistic that a query asks for.

    Raises:
        QueryError: there is none of that name.
    """
    try:
        return STATISTICS[query.statistic]
    except KeyError:
        raise QueryError(f"no statistic is named {query.statistic}; known are {', '.join(STATISTICS)}") from None


def layout_of(query: Query) -> Layout:
    """Return the layout of the vector that answers a query; all parties find the same one.

    Raises:
        QueryError: the query is not of the vocabulary.
        ParameterError: its vector would be too long, or its bounds too large.
    """
    statistic = statistic_of(query)
    return statistic.layout(statistic.read(query))


def disclosure_of(query: Query) -> Disclosure:
    """Return what the answer to a query tells. Raises as `layout_of`."""
    statistic = statistic_of(query)
    return replace(statistic.disclosure(statistic.read(query)), filtered=bool(query.filter))


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


def evaluate(query: Query, table: Columns) -> Array:
    """Return the site's vector: filter, missing rule, statistic.

    Args:
        query: what is asked.
        table: at least the columns `query.needs` of all rows, (rows,) float64, NaN where a value is missing.

    Returns:
        (d,) float64, finite, every entry within the bounds of `layout_of(query)`.

    Raises:
        QueryError: the query is not of the vocabulary.
        MissingColumnsError: the table lacks a column.
        RowLimitError: it has more rows than the query's limit.
        ParameterError: the table's columns are not equally long, or hold infinity.
    """
    rows = _rows(query, table)
    check_dataset(query, table.keys(), rows)
    statistic = statistic_of(query)
    params = statistic.read(query)
    kept = np.logical_and.reduce(
        [np.ones(rows, np.bool_)] + [_meets(table[comparison.column], comparison) for comparison in query.filter]
    )
    if query.missing == "complete-cases":
        kept &= ~np.isnan([table[name] for name in query.columns]).any(axis=0)
    columns = {name: table[name][kept] for name in query.columns}
    return statistic.layout(params).flatten(statistic.compute(params, columns))


def _rows(query: Query, table: Columns) -> int:
    given = [table[name] for name in query.needs if name in table]
    if any(column.dtype != np.float64 or column.ndim != 1 or np.isinf(column).any() for column in given):
        raise ParameterError("the columns of a table are one-dimensional float64 without infinity")
    if len(lengths := {len(column) for column in given}) > 1:
        raise ParameterError("the columns of a table are equally long")
    return lengths.pop() if lengths else 0


def _meets(column: Array, comparison: Comparison) -> NDArray[np.bool_]:
    return _OPERATORS[comparison.op](column, comparison.value) & ~np.isnan(column)
