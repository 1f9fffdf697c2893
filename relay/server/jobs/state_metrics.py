"""Periodically measures the state of the relay's work; a scrape itself never queries the database."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping

from relay.api.states import TAKES_PART, Role, RunState
from relay.server.core.metrics import RelayMetrics
from relay.server.process.readiness import Readiness
from relay.server.store import fleet, milestones, state_counts
from relay.server.store.database import Database
from secagg import __version__

EVERY_S = 15.0
OTHER = "other"
_MOST_REASONS = 20
_NAMED = re.compile(r"^(?:V-\d{4}|relay-restored|cancelled-by-operator|deadline)\b")


class StateMetrics:
    """Measures the state; called every `EVERY_S` seconds.

    Args:
        database: database to count in.
        readiness: readiness check, whose result is published as a metric too.
        metrics: destination of the numbers.
    """

    def __init__(self, database: Database, readiness: Readiness, metrics: RelayMetrics) -> None:
        self._database = database
        self._readiness = readiness
        self._metrics = metrics

    async def __call__(self) -> None:
        self._metrics.ready.set(await self._readiness() is None)
        now = time.time()
        counted, reached, sites = await self._database.read(
            lambda db: (
                state_counts.take(db, now=now),
                milestones.reached(db),
                fleet.fleet(db, own_release=__version__),
            )
        )
        self._show(counted, now)
        self._show_fleet(sites)
        self._show_upkeep(reached)

    def _show(self, counted: state_counts.StateCounts, now: float) -> None:
        metrics = self._metrics
        for state in RunState:
            metrics.runs.labels(state).set(counted.runs.get(state, 0))
        for role in Role:
            metrics.sites.labels(role).set(counted.sites.get(role, 0))
        metrics.aborts.clear()
        for reason, number in named_reasons(counted.aborts).items():
            metrics.aborts.labels(reason).set(number)
        metrics.idle_run.set(max((now - at for at in counted.last_activity.values()), default=0.0))
        metrics.last_success.set(counted.last_success or 0.0)
        metrics.dropouts.set(counted.silent_in_runs)
        metrics.silent_sites.set(counted.silent_members)
        metrics.open_tokens.set(counted.open_tokens)
        metrics.nonces.set(counted.nonces)
        if counted.oldest_site is not None:
            metrics.oldest_key.labels("site").set(counted.oldest_site)

    def _show_fleet(self, sites: Iterable[fleet.FleetSite]) -> None:
        offset, outdated = self._metrics.site_clock_offset, self._metrics.site_outdated
        for gauge in (offset, outdated):
            gauge.clear()  # a site that has left
        for site in sites:
            if site.role in TAKES_PART or site.role == Role.COORDINATOR:
                outdated.labels(site.name).set(site.is_outdated)
                offset.labels(site.name).set(site.clock_offset_s or 0.0)

    def _show_upkeep(self, reached: Mapping[str, float]) -> None:
        for name, gauge in (
            (milestones.BACKUP, self._metrics.backup),
            (milestones.AUDIT_VERIFIED, self._metrics.audit_verified),
        ):
            gauge.set(reached.get(name, 0.0))
        self._metrics.audit_broken.set(milestones.AUDIT_BROKEN in reached)


def named_reasons(reasons: Mapping[str, int]) -> dict[str, int]:
    """Return the numbers by label. A reason is free text, so only check IDs and the operator's reason become labels.

    A coordinator may write anything; the 20 most frequent names are counted separately and the rest as `other`.
    """
    found: Counter[str] = Counter()
    for reason, number in reasons.items():
        match = _NAMED.match(reason)
        found[match[0] if match else OTHER] += number
    kept = dict(found.most_common(_MOST_REASONS))
    if rest := found.total() - sum(kept.values()):
        kept[OTHER] = kept.get(OTHER, 0) + rest
    return kept
