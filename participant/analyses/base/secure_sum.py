"""The only input of an analysis besides its specification: sums of statistics over the sites.

An analysis is a coroutine that depends on nothing else: given the same sums, it asks the same queries in the same
order, so a restarted coordinator replays it from the sums in its journal. Tests use a plain sum.
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
        values: blocks of the statistic, by name, summed over the sites.
        sites: names of the contributing sites, sorted.
    """

    values: Mapping[str, Array]
    sites: tuple[str, ...]


class SecureSum(ABC):
    """The secure sum of a statistic over the sites of a run; during a run, the set of sites can only shrink.

    Attributes:
        value_bits: bits of a quantised real value that fit the run's ring and number of sites.
    """

    value_bits: int

    @abstractmethod
    async def __call__(self, query: BoundQuery) -> Sum:
        """Return the sum; raises the run's errors, which analyses never catch."""

    def below(self, value: float, limit: float) -> bool:
        """Return whether a value is at most its limit, for a decision about the next query.

        An analysis compares results of linear algebra, logarithms or exponentials here, since two machines may round
        these to either side of a limit. A site that replays the analysis accepts both decisions. Sums themselves, and
        results of arithmetic and square roots on them, are the same everywhere and are compared directly.
        """
        return bool(value <= limit)

    def disregard(self) -> None:  # noqa: B027 - most sums need not know
        """Say that the result does not depend on the latest sum, which then does not count for whom it covers."""


class SumAround(SecureSum):
    """A secure sum that queries another one, and leaves decisions to it."""

    def __init__(self, secure_sum: SecureSum) -> None:
        self._secure_sum = secure_sum
        self.value_bits = secure_sum.value_bits

    def below(self, value: float, limit: float) -> bool:
        return self._secure_sum.below(value, limit)

    def disregard(self) -> None:
        self._secure_sum.disregard()


def value_bits_for(sites: int, ring_bits: int = MAX_RING_BITS) -> int:
    """Return the largest number of value bits v for which the sum of `sites` sites fits a ring.

    A value has at most 2^(v-1) levels on either side of zero (`Layout.segments`). This requires sites * 2^(v-1) <
    2^(b-1). More bits than the 53 of a double are useful: the leading ones represent the bound of a sum, which the sum
    itself seldom approaches.
    """
    return min(MAX_VALUE_BITS, ring_bits - sites.bit_length())
