"""What a statistic is: parameters, layout, local computation and disclosure, in one place.

A statistic is a pure function of a site's rows that adds up over sites: the sum of its values over any split of the
rows is its value on all of them. The analyses rest on that, and the property tests hold it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import sqrt
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from participant.statistics.language.conditions import Condition, Strict
from participant.statistics.language.disclosure import Disclosure
from participant.statistics.language.layout import Array, Arrays, Layout
from participant.statistics.language.query import Query, QueryError, canonical, in_words

MAX_ROWS = 1 << 30
PIECE = 1 << 16  # rows that are computed at a time: what the arrays in between need does not grow with the table
ROWS_PER_PARAMETER = 3  # with fewer, sums of a model tell much about single rows; a site can be asked for more

Columns = Mapping[str, Array]
"""Columns of a table by name, (rows,) float64 each."""


class Params(Strict):
    """Base of a statistic's parameters. No field has a default: one meaning, one encoding.

    Attributes:
        row_limit: the most rows that a site's dataset may have. The bounds of the sums are proven from it; a small one
            gives precise sums.
    """

    row_limit: int = Field(ge=1, le=MAX_ROWS)


P = TypeVar("P", bound=Params)


class Statistic(ABC, Generic[P]):
    """One entry of the vocabulary.

    Attributes:
        name: by which a query asks for it.
        version: raised whenever the same parameters would give other numbers.
        Params: the schema of its parameters.
        keeps_missing: whether it takes rows with missing values, as NaN.
    """

    name: str
    version: int
    Params: type[P]
    keeps_missing: bool = False

    @abstractmethod
    def columns(self, params: P) -> tuple[str, ...]:
        """Return the names of the columns that it reads."""

    @abstractmethod
    def layout(self, params: P) -> Layout:
        """Return the arrays that it releases, with bounds proven from the parameters."""

    @abstractmethod
    def compute(self, params: P, columns: Columns) -> Arrays:
        """Return the arrays of some rows, after filter and missing rule; there may be none."""

    @abstractmethod
    def disclosure(self, params: P) -> Disclosure:
        """Return what the sum over the sites tells."""

    def total(self, params: P, columns: Columns) -> Arrays:
        """Return this site's arrays over all its rows, as the sum over pieces of them."""
        arrays: dict[str, Array] = {}
        rows = len(next(iter(columns.values())))
        for start in range(0, max(rows, 1), PIECE):
            piece = {name: column[start : start + PIECE] for name, column in columns.items()}
            for name, array in self.compute(params, piece).items():
                arrays[name] = arrays[name] + array if name in arrays else array
        return arrays

    def usable(self, params: P, columns: Columns) -> NDArray[np.bool_]:
        """Return which rows have the values that it needs, (rows,) bool."""
        there = np.ones(len(next(iter(columns.values()))), np.bool_)
        for name in () if self.keeps_missing else self.columns(params):
            there &= ~np.isnan(columns[name])
        return there

    def asked(
        self,
        params: P,  # noqa: ARG002 - for statistics that set groups of rows apart
        columns: Columns,  # noqa: ARG002
        rows: NDArray[np.bool_],
        floor: int,  # noqa: ARG002
    ) -> NDArray[np.bool_]:
        """Return which of the usable `rows` that meet a filter count, so that no small group of them is set apart."""
        return rows

    def persons(self, params: P, columns: Columns) -> int:  # noqa: ARG002 - for statistics that single out groups
        """Return the size of the smallest group, not empty, that this site's sums stand for as a whole or could be
        divided into by subtracting one from another. Cells of counts are not meant: they are suppressed one by one.
        """
        return max((len(column) for column in columns.values()), default=0)

    def parameters(self, params: P) -> int:  # noqa: ARG002 - of a model; others have none
        """Return how many parameters a model has that can be fitted to these sums, 0 for none."""
        return 0

    def sensitivity(self, params: P) -> float:
        """Return a bound of how far, in Euclidean distance, the vector moves when one row comes or goes. It is that of
        the sums themselves: what is suppressed moves as well when a group passes the floor.

        Raises:
            ParameterError: as `layout` does.
        """
        of_one = self.layout(params.model_copy(update={"row_limit": 1}))
        squares = 0.0
        for block in of_one.blocks:
            # A row is in one cell: of a block that follows cells it moves the entries of that cell only.
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
            params: its parameters.
            dataset: name of the dataset.
            value_bits: bits of a quantised real value, 8 to 60.
            filter: conditions that a row must meet.
            complete: further columns in which a row must be complete.
            minimum_persons: what a site's numbers stand for at least.

        Raises:
            QueryError: a name, a number or the size of the whole is not allowed.
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
            raise QueryError(f"no such query can be made: {in_words(error)}") from None
        query.encode()
        return query

    def read(self, query: Query) -> P:
        """Return the parameters of a query for this statistic.

        Raises:
            QueryError: they are not this version's, not canonical, or they need what the query does not declare.
        """
        if query.version != self.version:
            raise QueryError(f"this site offers {self.name} version {self.version}; the query asks for {query.version}")
        given = canonical(query.params)
        try:
            params = self.Params.model_validate_json(given)
        except ValidationError as error:
            raise QueryError(f"the parameters of {self.name} are wrong: {in_words(error)}") from None
        if canonical(params.model_dump(mode="json")) != given:
            raise QueryError(f"the parameters of {self.name} are not in their canonical form")
        if undeclared := sorted(set(self.columns(params)) - set(query.columns)):
            raise QueryError(f"the query does not declare columns that {self.name} reads: {', '.join(undeclared)}")
        if self.keeps_missing is not (query.missing == "keep"):
            raise QueryError(f"{self.name} {'counts' if self.keeps_missing else 'does not take'} missing values")
        return params
