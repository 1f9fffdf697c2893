"""Sums within ranges that a secure round finds first: as fine as the sites' numbers allow, and never cut unnoticed.

One round of `ranges`, then one of the statistic itself within them. A sum in which an entry was moved to its range -
the rows at a site changed in between - is thrown away and asked for again with new ranges.
"""

from participant.analyses.base.errors import PrecisionError
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.evaluation.registry import RANGES
from participant.statistics.vocabulary.ranges import CLIPPED, found

ATTEMPTS = 3


async def ranged(bound: BoundQuery, secure_sum: SecureSum) -> tuple[BoundQuery, Sum]:
    """Return the query with the ranges that were found, and its sum.

    Raises:
        PrecisionError: entries were beyond their ranges again and again.
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
    raise PrecisionError(f"the sites' numbers changed {ATTEMPTS} times while their ranges were found")
