"""What this site publishes of a sum that it opened together with the others (mode `he`).

All of it follows from the query and the opened sum, so that all honest sites publish the same bytes. If the rule fails
on a sum, it fails at every site, and nothing of the sum is published.
"""

from uuid import UUID

import numpy as np

from participant.records.ledger import Ledger
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.pooled import published
from participant.statistics.language.query import canonical
from relay.service.logs import logger
from secagg.protocol.participant_round import AwaitRelease
from secagg.protocol.step import Release

log = logger(__name__)


def release_of(run: UUID, state: AwaitRelease, ledger: Ledger) -> Release:
    """Return the event that publishes what the floor of the round's query allows."""
    try:
        bound = BoundQuery.decode(canonical(ledger.query(run, state.current.round)))
        return _release(bound, state)
    except Exception:
        log.exception("publication-failed", round=state.current.round)
        return Release(hidden=True)


def _release(bound: BoundQuery, state: AwaitRelease) -> Release:
    opened, values = state.reals, state.values
    shown = published(bound, opened)
    hidden = np.isnan(shown)
    changed = ~hidden & (shown != opened)  # counts, whose step is 1
    values[changed] = np.rint(shown[changed]).astype(np.int64)
    return Release(hidden, values)
