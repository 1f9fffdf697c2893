"""What an analysis needs from the outside: the sum of a statistic over the sites.

An analysis is a pure coroutine over this: given the same sums it asks the same queries in the same order, so a
coordinator that was restarted runs it again from the sums in its journal. In tests the sum is a plain one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from participant.statistics.language.layout import Array
from participant.statistics.language.query import MAX_VALUE_BITS, Query
from secagg.params import MAX_RING_BITS


@dataclass(frozen=True, slots=True)
class Sum:
    """The answer to a query.

    Attributes:
        values: the statistic's blocks by name, summed over the sites.
        sites: names of the sites whose values are in the sum, sorted.
    """

    values: Mapping[str, Array]
    sites: tuple[str, ...]


class SecureSum(Protocol):
    """Sums a statistic over the sites of a run; within a run the set of sites only shrinks."""

    @property
    def value_bits(self) -> int:
        """Bits of a quantised real value that the run's ring and number of sites leave room for."""

    async def __call__(self, query: Query) -> Sum:
        """Return the sum; raises the errors of the run, of which an analysis catches none."""


def value_bits_for(sites: int, ring_bits: int = MAX_RING_BITS) -> int:
    """Return the most value bits v with which the sum of so many sites fits a ring, by default the largest.

    A value has at most 2^(v-1) levels on either side (`Layout.segments`), so sites * 2^(v-1) < 2^(b-1) is asked. More
    bits than the 53 of a double are worth having: they count from the bound of a sum, which the sum itself seldom
    nears.
    """
    return min(MAX_VALUE_BITS, ring_bits - sites.bit_length())
