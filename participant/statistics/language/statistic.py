"""The definition of a statistic: parameters, layout, local computation and disclosure, in one place.

A statistic is a pure function of a site's rows that adds up over sites: the sum of its values over any split of the
rows equals its value on all of them. The analyses rely on this, and property tests check it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import reduce
from math import sqrt
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from participant.statistics.language.conditions import Condition, Strict
from participant.statistics.language.disclosure import Disclosure
from participant.statistics.language.layout import Array, Arrays, Layout
from participant.statistics.language.query import Query, QueryError, canonical, in_words
from participant.statistics.language.support import Support

MAX_ROWS = 1 << 30
PIECE = 1 << 16  # rows computed at a time, so that intermediate arrays do not grow with the table
ROWS_PER_PARAMETER = 3  # with fewer, a model's sums disclose much about single rows; a query can require more

Columns = Mapping[str, Array]
"""Columns of a table by name, (rows,) float64 each."""


class Params(Strict):
    """Base class of a statistic's parameters. No field has a default, so each meaning has one encoding.

    Attributes:
        row_limit: maximum number of rows of a site's dataset. It determines the bounds of the sums; a small limit makes
            the sums precise.
    """

    row_limit: int = Field(ge=1, le=MAX_ROWS)


P = TypeVar("P", bound=Params)


def _pieces(columns: Columns) -> Iterator[Columns]:
    """Yield the rows, some at a time; at least once, even without rows."""
    rows = len(next(iter(columns.values())))
    for start in range(0, max(rows, 1), PIECE):
        yield {name: column[start : start + PIECE] for name, column in columns.items()}


class Statistic(ABC, Generic[P]):
    """Base class of all statistics in the vocabulary.

    Attributes:
        name: name in queries.
        version: version, increased whenever the same parameters would yield other numbers.
        Params: schema of the parameters.
        keeps_missing: whether the statistic accepts rows with missing values, as NaN.
    """

    name: str
    version: int
    Params: type[P]
    keeps_missing: bool = False

    @abstractmethod
    def columns(self, params: P) -> tuple[str, ...]:
        """Return the names of the columns that the statistic reads."""

    @abstractmethod
    def layout(self, params: P) -> Layout:
        """Return the layout of the released arrays, with bounds proven from the parameters."""

    @abstractmethod
    def compute(self, params: P, columns: Columns) -> Arrays:
        """Return the arrays for the rows that passed the filter and the missing-value rule; there may be no rows."""

    @abstractmethod
    def disclosure(self, params: P) -> Disclosure:
        """Return the disclosure of the sum over the sites."""

    def total(self, params: P, columns: Columns) -> Arrays:
        """Return this site's arrays over all its rows, summed piece by piece."""
        arrays: dict[str, Array] = {}
        for piece in _pieces(columns):
            for name, array in self.compute(params, piece).items():
                arrays[name] = arrays[name] + array if name in arrays else array
        return arrays

    def support(self, params: P, columns: Columns) -> Support:  # noqa: ARG002 - for statistics of smaller groups
        """Return the support of the sums over these rows, beyond the cells that the arrays themselves count. The
        numbers of groups and of entries depend on the parameters alone.
        """
        return Support.of(np.ones((1, len(next(iter(columns.values())))), np.bool_))

    def supported(self, params: P, columns: Columns) -> Support:
        """Return the support of this site's sums over all its rows, joined piece by piece."""
        return reduce(Support.joined, (self.support(params, piece) for piece in _pieces(columns)))

    # With the floor over all sites, which open the sum together ------------------------------------------------------

    def pooled_layout(self, params: P) -> Layout:
        """Return the layout of the arrays that the sites open; by default, as for `layout`."""
        return self.layout(params)

    def pooled_total(self, params: P, columns: Columns) -> Arrays:
        """Return this site's arrays over all its rows for `pooled_layout`; nothing in them depends on a floor."""
        return self.total(params, columns)

    def pooled_support(self, params: P, columns: Columns) -> Support:
        """Return the support of these arrays over all rows, beyond what `pooled_hidden` judges."""
        return self.supported(params, columns)

    def pooled_hidden(
        self,
        params: P,  # noqa: ARG002 - for statistics that hide more than cells
        arrays: Arrays,  # noqa: ARG002
        floor: int,  # noqa: ARG002
    ) -> Mapping[str, NDArray[np.bool_]]:
        """Return which entries of the opened arrays to hide beyond the rules of cells and support, by block."""
        return {}

    def read_pooled(self, params: P, arrays: Arrays) -> Arrays:  # noqa: ARG002 - for other layouts
        """Return the arrays of `layout` that follow from published ones of `pooled_layout`, in which NaN stands for
        hidden entries; and `answered`, the number of rows in them, if not all rows are.
        """
        return {}

    def usable(self, params: P, columns: Columns) -> NDArray[np.bool_]:
        """Return whether each row has the values that the statistic needs, (rows,) bool."""
        there = np.ones(len(next(iter(columns.values()))), np.bool_)
        for name in () if self.keeps_missing else self.columns(params):
            there &= ~np.isnan(columns[name])
        return there

    def asked(
        self,
        params: P,  # noqa: ARG002 - for statistics that single out groups of rows
        columns: Columns,  # noqa: ARG002
        rows: NDArray[np.bool_],
        floor: int,  # noqa: ARG002
    ) -> NDArray[np.bool_]:
        """Return which of the usable filtered `rows` to include, so that no small group is singled out."""
        return rows

    def persons(self, params: P, columns: Columns) -> int:  # noqa: ARG002 - for statistics that single out groups
        """Return the size of the smallest nonempty group that this site's sums stand for, as a whole or after
        subtracting one from another. Cells of counts are ignored here, as they are suppressed one by one.
        """
        return max((len(column) for column in columns.values()), default=0)

    def parameters(self, params: P) -> int:  # noqa: ARG002 - for models; others have none
        """Return the number of parameters of a model that these sums can fit, 0 for none."""
        return 0

    def sensitivity(self, params: P) -> float:
        """Return a bound on the Euclidean distance by which adding or removing one row moves the vector. It holds for
        the sums themselves: suppressed entries also change when a group crosses the floor.

        Raises:
            ParameterError: as for `layout`.
        """
        of_one = self.layout(params.model_copy(update={"row_limit": 1}))
        squares = 0.0
        for block in of_one.blocks:
            # A row is in one cell: in a block that follows cells, it moves only the entries of that cell.
            cells = max(of_one.block(block.cells).size, 1) if block.cells else 1
            squares += block.size / len(block.clips) / cells * sum(clip * clip for clip in block.clips)
        return sqrt(squares)

    def query(
        self,
        params: P,
        *,
        dataset: str,
        value_bits: int,
        filter: tuple[Condition, ...] = (),  # noqa: A002 - the query's own word
        complete: tuple[str, ...] = (),
        minimum_persons: int = 1,
    ) -> Query:
        """Return the query that asks for this statistic.

        Args:
            params: parameters of the statistic.
            dataset: name of the dataset.
            value_bits: bits of a quantised real value, 8 to 60.
            filter: conditions that a row must meet.
            complete: further columns in which a row must be complete.
            minimum_persons: minimum number of persons that a site's numbers may stand for.

        Raises:
            QueryError: a name, a number or the size of the query is not allowed.
        """
        try:
            query = Query(
                statistic=self.name,
                version=self.version,
                dataset=dataset,
                columns=self.columns(params) + complete,
                filter=filter,
                missing="keep" if self.keeps_missing else "complete-cases",
                minimum_persons=minimum_persons,
                value_bits=value_bits,
                params=params.model_dump(mode="json"),
            )
        except ValidationError as error:
            raise QueryError(f"this query is not valid: {in_words(error)}") from None
        query.encode()
        return query

    def read(self, query: Query) -> P:
        """Return the parameters of a query for this statistic.

        Raises:
            QueryError: the parameters are not canonical, or the query is for another version or lacks a required
                column.
        """
        if query.version != self.version:
            raise QueryError(f"this site offers {self.name} version {self.version}; the query asks for {query.version}")
        given = canonical(query.params)
        try:
            params = self.Params.model_validate_json(given)
        except ValidationError as error:
            raise QueryError(f"the parameters of {self.name} are invalid: {in_words(error)}") from None
        if canonical(params.model_dump(mode="json")) != given:
            raise QueryError(f"the parameters of {self.name} are not in canonical form")
        if undeclared := sorted(set(self.columns(params)) - set(query.columns)):
            raise QueryError(f"the query does not declare all columns that {self.name} reads: {', '.join(undeclared)}")
        if self.keeps_missing is not (query.missing == "keep"):
            raise QueryError(f"{self.name} {'counts' if self.keeps_missing else 'does not accept'} missing values")
        return params
