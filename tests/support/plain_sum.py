"""A secure sum without the security: the vectors that sites would send, added in the clear."""

from collections.abc import Mapping, Sequence
from itertools import chain, repeat

import numpy as np

from coordinator.runs.simulation import fixed_point_sum
from participant.analyses.base.secure_sum import SecureSum, Sum, value_bits_for
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.language.query import Query
from participant.statistics.language.statistic import Columns


class PlainSum(SecureSum):
    """Adds the sites' vectors, as reals or in the round's fixed-point representation.

    Args:
        tables: tables by site name.
        quantised: whether to encode, add as integers and decode.
        lost: for each round in turn, the sites that are lost in it and never return.
    """

    def __init__(
        self, tables: Mapping[str, Columns], *, quantised: bool = False, lost: Sequence[set[str]] = ()
    ) -> None:
        self.tables = dict(tables)
        self.quantised = quantised
        self.value_bits = value_bits_for(len(tables))
        self.queries: list[Query] = []
        self._lost = chain(lost, repeat(set()))

    async def __call__(self, query: BoundQuery) -> Sum:
        asked = BoundQuery.decode(query.encode())  # as a site parses it
        self.queries.append(asked.query)
        gone = next(self._lost)
        self.tables = {site: table for site, table in self.tables.items() if site not in gone}
        vectors = [evaluate(asked, table) for table in self.tables.values()]
        total = np.sum(vectors, 0)
        if self.quantised:
            total = fixed_point_sum(vectors, asked.segments)
        return Sum(asked.layout.unflatten(total), tuple(sorted(self.tables)))
