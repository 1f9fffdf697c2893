"""Sums within ranges found by a secure round: as precise as the sites' numbers allow, and never clipped unnoticed.

A round of `ranges` precedes the statistic's own round. If an entry is clipped to its range, because rows at a site have
changed in between, the sum is discarded and requested again with new ranges.
"""

from participant.analyses.base.errors import PrecisionError
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.evaluation.registry import RANGES
from participant.statistics.vocabulary.ranges import CLIPPED, found

ATTEMPTS = 3


async def ranged(bound: BoundQuery, secure_sum: SecureSum) -> tuple[BoundQuery, Sum]:
    """Return the query with the ranges found, and its sum.

    Raises:
        PrecisionError: entries kept exceeding their ranges.
    """
    query = bound.query
    of = {"statistic": query.statistic, "version": query.version, "params": query.params}
    asked = {
        "statistic": RANGES.name,
        "version": RANGES.version,
        "params": of | {"row_limit": query.params["row_limit"]},
    }
    finding = bind(query.model_copy(update=asked))
    for _ in range(ATTEMPTS):
        above = (await secure_sum(finding)).values["above"]
        narrow = bound.within(found(bound.layout, above))
        answer = await secure_sum(narrow)
        if not answer.values[CLIPPED]:
            return narrow, answer
    raise PrecisionError(
        f"the sites' numbers changed {ATTEMPTS} times while their ranges were determined; try again later"
    )
