"""Analyses whose sums must all be over the same rows: when a site is lost, they begin again over those left."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from participant.analyses.base.secure_sum import SecureSum, Sum, SumAround
from participant.statistics.evaluation.bound import BoundQuery

T = TypeVar("T")


class _LossError(Exception):
    """A sum is over fewer sites than the one before it in a cohort, the argument."""


class _OneCohort(SumAround):
    """Secure sums as long as no site is lost."""

    def __init__(self, secure_sum: SecureSum) -> None:
        super().__init__(secure_sum)
        self._sites: tuple[str, ...] | None = None

    async def __call__(self, query: BoundQuery) -> Sum:
        answer = await self._secure_sum(query)
        if self._sites not in {None, answer.sites}:
            raise _LossError(self)
        self._sites = answer.sites
        return answer


async def over_one_cohort(analysis: Callable[[SecureSum], Awaitable[T]], secure_sum: SecureSum) -> T:
    """Return what an analysis gives of sums that are all over the same sites; it ends, since a cohort only shrinks.

    A part of an analysis can ask for the same by itself: a loss begins the outermost again that has sums from before.
    """
    while True:
        cohort = _OneCohort(secure_sum)
        try:
            return await analysis(cohort)
        except _LossError as loss:
            if loss.args != (cohort,):
                raise
