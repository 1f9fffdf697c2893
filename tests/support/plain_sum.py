"""A secure sum without the security: what the sites would send, added up in the open."""

from collections.abc import Mapping, Sequence
from itertools import chain, repeat

import numpy as np

from coordinator.analyses import Sum, value_bits_for
from participant.statistics import Columns, Query, evaluate, layout_of
from participant.statistics.layout import Array
from secagg.params import Schema, Segment, ring_bits_for
from secagg.quantize import dequantize, quantize


class PlainSum:
    """Adds the vectors of the sites, as reals or through the round's fixed point.

    Args:
        tables: by the site's name.
        quantised: encode, add as integers, decode.
        lost: for each round in turn, the sites that are lost in it and stay away.
    """

    def __init__(
        self, tables: Mapping[str, Columns], *, quantised: bool = False, lost: Sequence[set[str]] = ()
    ) -> None:
        self.tables = dict(tables)
        self.quantised = quantised
        self.value_bits = value_bits_for(len(tables))
        self.queries: list[Query] = []
        self._lost = chain(lost, repeat(set()))

    async def __call__(self, query: Query) -> Sum:
        self.queries.append(Query.decode(query.encode()))
        gone = next(self._lost)
        self.tables = {site: table for site, table in self.tables.items() if site not in gone}
        vectors = [evaluate(self.queries[-1], table) for table in self.tables.values()]
        layout = layout_of(query)
        total = fixed_point_sum(vectors, layout.segments(query.value_bits)) if self.quantised else np.sum(vectors, 0)
        return Sum(layout.unflatten(total), tuple(sorted(self.tables)))


def fixed_point_sum(vectors: Sequence[Array], segments: tuple[Segment, ...]) -> Array:
    """Return the sum as a round gives it, after the checks of a round."""
    ring_bits = max(ring_bits_for(segment.levels, len(vectors)) for segment in segments)
    schema = Schema(ring_bits=ring_bits, mac_lanes=0, segments=segments)
    schema.check(len(vectors))
    return dequantize(np.sum([quantize(vector, schema).values for vector in vectors], axis=0), schema)
