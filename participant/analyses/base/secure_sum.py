"""What an analysis needs from the outside: the sum of a statistic over the sites.

An analysis is a pure coroutine over this: given the same sums it asks the same queries in the same order, so a
coordinator that was restarted runs it again from the sums in its journal. In tests the sum is a plain one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.language.layout import Array
from participant.statistics.language.query import MAX_VALUE_BITS
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


class SecureSum(ABC):
    """Sums a statistic over the sites of a run; within a run the set of sites only shrinks.

    Attributes:
        value_bits: bits of a quantised real value that the run's ring and number of sites leave room for.
    """

    value_bits: int

    @abstractmethod
    async def __call__(self, query: BoundQuery) -> Sum:
        """Return the sum; raises the errors of the run, of which an analysis catches none."""

    def below(self, value: float, limit: float) -> bool:
        """Return whether a value is at most its limit, for whatever decides what is asked next.

        An analysis compares here what comes out of linear algebra, logarithms or exponentials: two machines may round
        these to either side of a limit. A site that replays the analysis then accepts both ways. Sums themselves, and
        what the four operations and square roots make of them, are the same everywhere and compared as they are.
        """
        return bool(value <= limit)


class SumAround(SecureSum):
    """A secure sum that asks another one; what decides there decides here."""

    def __init__(self, secure_sum: SecureSum) -> None:
        self._secure_sum = secure_sum
        self.value_bits = secure_sum.value_bits

    def below(self, value: float, limit: float) -> bool:
        return self._secure_sum.below(value, limit)


def value_bits_for(sites: int, ring_bits: int = MAX_RING_BITS) -> int:
    """Return the most value bits v with which the sum of so many sites fits a ring, by default the largest.

    A value has at most 2^(v-1) levels on either side (`Layout.segments`), so sites * 2^(v-1) < 2^(b-1) is asked. More
    bits than the 53 of a double are worth having: they count from the bound of a sum, which the sum itself seldom
    nears.
    """
    return min(MAX_VALUE_BITS, ring_bits - sites.bit_length())
