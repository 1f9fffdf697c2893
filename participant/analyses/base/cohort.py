"""Analyses whose sums must all cover the same rows: if a site is lost, they start over with the remaining sites."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from participant.analyses.base.secure_sum import SecureSum, Sum, SumAround
from participant.statistics.evaluation.bound import BoundQuery

T = TypeVar("T")


class _LossError(Exception):
    """A sum covers fewer sites than the cohort's previous sum; the argument is the cohort."""


class _OneCohort(SumAround):
    """A cohort's secure sum, which interrupts the analysis when a site is lost."""

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
    """Return the result of an analysis whose sums all cover the same sites. This terminates, as a cohort only shrinks.

    Calls may be nested: a loss restarts the outermost one that already has sums.
    """
    while True:
        cohort = _OneCohort(secure_sum)
        try:
            return await analysis(cohort)
        except _LossError as loss:
            if loss.args != (cohort,):
                raise
