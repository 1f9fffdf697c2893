"""Gauges for monitoring, in addition to the daemon's own counters: relay connection, waiting work, disk, process.

specs/operations.md defines names and labels. Labels never carry a run, project, site or path.
"""

import shutil
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from participant.records.decisions import Decisions
from participant.records.ledger import Ledger
from participant.settings.config import ParticipantConfig
from relay.client.transport import RelayClient
from relay.party.journal import Journal
from secagg import __version__

_PREFIX = "secagg_participant"


def watch(registry: CollectorRegistry, config: ParticipantConfig, journal: Journal, relay: RelayClient) -> None:
    """Register the metrics that are read at each scrape."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_FailedTries(relay))
    ledger, decisions = Ledger(journal.connection), Decisions(journal.connection)

    def gauge(name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(f"{_PREFIX}_{name}", text, registry=registry).set_function(value)

    gauge("relay_reachable", "1 if the relay answers and takes this site's requests, else 0", lambda: _is_there(relay))
    gauge(
        "clock_offset_seconds",
        "Seconds by which this machine's clock is ahead of the relay's; it refuses requests beyond 60",
        lambda: relay.connection.clock_offset_s or 0,
    )
    gauge("last_contact_timestamp_seconds", "When the relay last answered", lambda: relay.connection.answered_at or 0)
    gauge("paused", "1 while the site is paused, else 0", decisions.is_paused)
    gauge("waiting_runs", "Runs that wait for an officer or for the site's schedule", lambda: len(decisions.waiting()))
    gauge("open_epochs", "Epochs whose state is kept", lambda: len(journal.machines()))
    gauge("waiting_frames", "Frames that the relay has not yet acknowledged", lambda: len(journal.outgoing()))
    gauge("confirmed_projects", "Projects confirmed by an officer", lambda: len(ledger.projects()))
    gauge("ledger_entries", "Entries in the ledger", lambda: len(ledger.chain()))
    gauge("last_backup_timestamp_seconds", "When the identity was last backed up", lambda: ledger.backed_up() or 0)
    gauge("disk_free_bytes", "Free space on the disk of the data folder", lambda: shutil.disk_usage(config.data).free)
    gauge("disk_size_bytes", "Size of the disk of the data folder", lambda: shutil.disk_usage(config.data).total)
    info = Gauge(f"{_PREFIX}_build_info", "Always 1; the version is the label", ["version"], registry=registry)
    info.labels(__version__).set(1)


def _is_there(relay: RelayClient) -> bool:
    return relay.connection.answered_at is not None and not relay.connection.trouble


class _FailedTries(Collector):
    """The counter of failed requests that the relay client keeps."""

    def __init__(self, relay: RelayClient) -> None:
        self._relay = relay

    def collect(self) -> list[CounterMetricFamily]:
        text = "Requests and retries that the relay did not answer"
        return [CounterMetricFamily(f"{_PREFIX}_failed_tries", text, value=self._relay.connection.failed_tries)]
