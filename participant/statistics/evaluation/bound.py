"""A query together with its statistic, parameters and layout, all read once when the query is decoded."""

from dataclasses import dataclass, replace
from typing import Any

from participant.statistics.evaluation import supports, suppression
from participant.statistics.evaluation.registry import statistic_of
from participant.statistics.language.disclosure import Disclosure
from participant.statistics.language.layout import Arrays, Layout
from participant.statistics.language.query import Query
from participant.statistics.language.statistic import Statistic
from participant.statistics.vocabulary import ranges
from secagg.params import Segment


@dataclass(frozen=True, slots=True)
class BoundQuery:
    """A query bound to the statistic that it asks for; made by `bind` and `decode`.

    Attributes:
        query: the query.
        statistic: statistic that the query asks for.
        params: parameters of the statistic.
        layout: layout of the answer's vector, the same for all parties; in a pooled query, lanes come last that only
            the sites see (`supports`).
    """

    query: Query
    statistic: Statistic[Any]
    params: Any
    layout: Layout

    @classmethod
    def decode(cls, data: bytes) -> "BoundQuery":
        """Decode a query from untrusted bytes.

        Raises:
            QueryError: the bytes are not a query in canonical form, or the query is not in the vocabulary.
            ParameterError: as for `bind`.
        """
        return bind(Query.decode(data))

    def encode(self) -> bytes:
        """Return the query's canonical bytes."""
        return self.query.encode()

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Clip and step of all entries."""
        return self.layout.segments(self.query.value_bits)

    @property
    def steps(self) -> Arrays:
        """The step of every entry, as arrays in the blocks' shapes."""
        return self.layout.steps(self.query.value_bits)

    @property
    def published(self) -> Layout:
        """The layout without the lanes that only the sites see."""
        return supports.without(self.layout) if self.query.pooled else self.layout

    @property
    def disclosure(self) -> Disclosure:
        """The disclosure of the answer."""
        return replace(self.statistic.disclosure(self.params), filtered=bool(self.query.filter))

    @property
    def is_of_cells(self) -> bool:
        """Whether the answer counts people in cells, such as those of a table."""
        return bool(suppression.counting(self.layout))

    def within(self, exponents: tuple[int, ...]) -> "BoundQuery":
        """Return the same query with these exponents as its ranges.

        Raises:
            ParameterError: there is not exactly one exponent for each group of real entries.
        """
        narrow = self.query.model_copy(update={"ranges": exponents})
        if self.query.pooled:
            return bind(narrow)
        return replace(self, query=narrow, layout=ranges.narrowed(self.layout, exponents))


def with_floors(bound: BoundQuery, *, pooled: bool) -> BoundQuery:
    """Return the same query with its floor over all sites, or at each."""
    return bound if bound.query.pooled == pooled else bind(bound.query.model_copy(update={"pooled": pooled}))


def bind(query: Query) -> BoundQuery:
    """Bind a query to its statistic.

    Raises:
        QueryError: the query is not in the vocabulary.
        ParameterError: its vector is too long, its bounds are too large, or its ranges do not match.
    """
    statistic = statistic_of(query)
    params = statistic.read(query)
    layout = statistic.pooled_layout(params) if query.pooled else statistic.layout(params)
    lanes = suppression.lanes(float(params.row_limit))
    if query.pooled:
        layout = Layout((*layout.blocks, lanes[0]))
    elif query.minimum_persons > 1:
        layout = Layout(layout.blocks + lanes)
    if query.ranges is not None:
        layout = ranges.narrowed(layout, query.ranges)
    if query.pooled:
        layout = Layout(layout.blocks + supports.lanes(statistic, params))
    return BoundQuery(query, statistic, params, layout)
