"""Gauges for monitoring, in addition to the daemon's own counters: relay connection, waiting work, disk, process.

specs/operations.md defines names and labels. Labels never carry a run, project, site or path.
"""

import shutil
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from participant.data.model.errors import DatasetError
from participant.data.store.store import DatasetStore
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
    registry.register(ImportMetrics(DatasetStore(config.datasets)))
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


class ImportMetrics(Collector):
    """The newest import of each dataset; the label is the dataset's name."""

    def __init__(self, datasets: DatasetStore) -> None:
        self._datasets = datasets

    def collect(self) -> Iterator[GaugeMetricFamily]:
        def family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=("dataset", *labels))

        at = family("import_timestamp_seconds", "When the newest version was imported")
        rows = family("import_rows", "Rows of the newest import, by outcome", "outcome")
        shares = family("import_quality_ratio", "Completeness, validity and uniqueness of the newest import", "metric")
        seconds = family("import_seconds", "Seconds of each step of the newest import", "step")
        try:
            for described in self._datasets.list():
                name = described.name
                at.add_metric((name,), described.imported_at.timestamp())
                rows.add_metric((name, "stored"), described.rows)
                rows.add_metric((name, "bad"), described.bad_rows)
                if quality := self._datasets.quality(name, described.version):
                    rows.add_metric((name, "repeated"), quality.repeated)
                    for metric, share in quality.shares.items():
                        shares.add_metric((name, metric), share)
                    for step, taken in quality.seconds.items():
                        seconds.add_metric((name, step), taken)
        except (DatasetError, OSError):
            pass  # the doctor names a damaged dataset; the other metrics must not go dark for it
        yield from (at, rows, shares, seconds)
