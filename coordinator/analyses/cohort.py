"""Several sums over the same sites: what was asked before a site was lost, is asked again."""

from collections.abc import Sequence

from coordinator.analyses.secure_sum import SecureSum, Sum
from participant.statistics import Query


async def over_one_cohort(queries: Sequence[Query], secure_sum: SecureSum) -> list[Sum]:
    """Return the answers to queries, all of them over the same sites; it ends, since a run's sites only shrink."""
    answers = [await secure_sum(query) for query in queries]
    while len({answer.sites for answer in answers}) > 1:
        left = min((answer.sites for answer in answers), key=len)
        answers = [
            answer if answer.sites == left else await secure_sum(query)
            for query, answer in zip(queries, answers, strict=True)
        ]
    return answers
