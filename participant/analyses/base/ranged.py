"""Sums within ranges that a secure round finds first: as fine as the sites' numbers allow, and never cut unnoticed.

One round of `ranges`, then one of the statistic itself within them. A sum in which an entry was moved to its range -
the rows at a site changed in between - is thrown away and asked for again with new ranges.
"""

from participant.analyses.base.errors import PrecisionError
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.statistics.evaluation.evaluate import layout_of
from participant.statistics.evaluation.registry import RANGES
from participant.statistics.language.query import Query
from participant.statistics.vocabulary.ranges import CLIPPED, found

ATTEMPTS = 3


async def ranged(query: Query, secure_sum: SecureSum) -> tuple[Query, Sum]:
    """Return the query with the ranges that were found, and its sum.

    Raises:
        PrecisionError: entries were beyond their ranges again and again.
    """
    of = {"statistic": query.statistic, "version": query.version, "params": query.params}
    asked = {
        "statistic": RANGES.name,
        "version": RANGES.version,
        "params": of | {"row_limit": query.params["row_limit"]},
    }
    proven = layout_of(query.model_copy(update={"minimum_persons": 1}))
    for _ in range(ATTEMPTS):
        above = (await secure_sum(query.model_copy(update=asked))).values["above"]
        narrow = query.model_copy(update={"ranges": found(proven, above)})
        answer = await secure_sum(narrow)
        if not answer.values[CLIPPED]:
            return narrow, answer
    raise PrecisionError(f"the sites' numbers changed {ATTEMPTS} times while their ranges were found")
