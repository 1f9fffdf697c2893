"""What a statistic is: parameters, layout, local computation and disclosure, in one place.

A statistic is a pure function of a site's rows that adds up over sites: the sum of its values over any split of the
rows is its value on all of them. The analyses rest on that, and the property tests hold it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

from pydantic import Field, ValidationError

from participant.statistics.disclosure import Disclosure
from participant.statistics.layout import Array, Arrays, Layout
from participant.statistics.query import Comparison, Query, QueryError, Strict, canonical, in_words

MAX_ROWS = 1 << 30

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
        """Return this site's arrays, from its rows after filter and missing rule; there may be none."""

    @abstractmethod
    def disclosure(self, params: P) -> Disclosure:
        """Return what the sum over the sites tells."""

    def query(
        self,
        params: P,
        *,
        dataset: str,
        value_bits: int,
        filter: tuple[Comparison, ...] = (),  # noqa: A002 - the query's own word
        complete: tuple[str, ...] = (),
    ) -> Query:
        """Return the query that asks for this statistic.

        Args:
            params: its parameters.
            dataset: name of the dataset.
            value_bits: bits of a quantised real value, 8 to 60.
            filter: comparisons that a row must meet.
            complete: further columns in which a row must be complete.

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
            raise QueryError(f"{self.name} is known here in version {self.version}, the query asks for {query.version}")
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
