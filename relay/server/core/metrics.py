"""The relay's metrics, in a registry of their own so that several relays fit into one process (tests).

Names and labels are part of the operator's interface: specs/operations.md lists them, and the dashboard and alert rules
in `deploy/` are tested against a live scrape. Label values are bounded: never a site, run, path or address.
"""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from relay.api.states import RunState
from secagg import __version__

FAULTS = ("busy", "database", "full", "input-output", "internal")
"""Causes of responses from status 500 on: another writer held the database, the database failed in another way, no
space was left, a disk or file failed, a defect."""
ACTIVITIES = ("read", "write")

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class RelayMetrics:
    """The metrics, most of them updated as events happen.

    `relay.server.jobs.state_metrics` and `relay.server.process.monitor` set the metrics that are measured periodically.

    Args:
        data: folder whose disk is watched.
        waiting_polls: function that returns the number of waiting long polls.
        problems: names of all types of problem.
    """

    def __init__(self, data: Path, waiting_polls: Callable[[], int], problems: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        # HTTP: rate, errors, duration
        self.requests = self._counter("requests", "Requests, by endpoint and status", "route", "status")
        self.seconds = self._histogram("request_seconds", "Time to respond, excluding the wait of long polls", "route")
        self.in_progress = self._gauge("requests_in_progress", "Requests in progress, including waiting polls")
        self.problems = self._counter("problems", "Refused requests, by type of problem", "type")
        self.faults = self._counter("faults", "Requests that failed because of the relay, by cause", "cause")
        self.replays = self._counter("replayed_writes", "Repeated writes that got the response of the first one")
        self._gauge("waiting_polls", "Waiting long polls").set_function(waiting_polls)
        self.connections = self._gauge("connections", "Connections to the public port")
        self.refused_connections = self._counter(
            "refused_connections",
            "Connections refused, or closed because the peer was slow",
            "reason",
        )
        # Traffic
        self.messages = self._counter("messages", "Messages accepted")
        self.frame_bytes = self._counter("frame_bytes", "Bytes of accepted frames")
        self.payload_bytes = self._counter("payload_bytes", "Bytes of payloads, by direction", "direction")
        # Database, disk, loop: utilisation, saturation, errors
        self.database_seconds = self._histogram(
            "database_seconds", "Time within transactions and read views", "activity"
        )
        self.database_wait_seconds = self._histogram("database_wait_seconds", "Wait for a free connection", "activity")
        self.database_busy = self._gauge("database_connections_busy", "Database connections in use", "activity")
        self.database_limit = self._gauge(
            "database_connections_limit", "Maximum number of database connections", "activity"
        )
        self.database_users = self._gauge("database_users", "Callers that use the database or wait for it", "activity")
        self.database_retries = self._counter("database_retries", "Transactions retried after a conflict")
        self._gauge("disk_free_bytes", "Free space on the disk of the data folder").set_function(
            lambda: shutil.disk_usage(data).free
        )
        self._gauge("disk_size_bytes", "Size of the disk of the data folder").set_function(
            lambda: shutil.disk_usage(data).total
        )
        self.loop_lag = self._histogram("event_loop_lag_seconds", "Delay of timers in the event loop")
        self.clock_offset = self._gauge("clock_offset_seconds", "Median lead of the sites' clocks over the relay's")
        self.clock_steps = self._counter("clock_steps", "Number of times the wall clock jumped by more than a second")
        # Work, as recorded in the database: the same on every replica
        self.ready = self._gauge("ready", "1 if the relay can store data, else 0")
        self.runs = self._gauge("runs", "Runs, by state", "state")
        self.aborts = self._gauge("runs_aborted", "Failed and cancelled runs, by the check or reason named", "reason")
        self.idle_run = self._gauge(
            "longest_idle_run_seconds", "Longest time that an open run has had no message or change"
        )
        self.last_success = self._gauge("last_completed_run_timestamp_seconds", "When a run was last completed")
        self.dropouts = self._gauge("open_run_silent_sites", "Sites of open runs not seen for five minutes")
        self.silent_sites = self._gauge("silent_sites", "Members of open projects not seen for a day")
        self.sites = self._gauge("sites", "Enrolled sites, by role", "role")
        self.site_clock_offset = self._gauge(
            "site_clock_offset_seconds", "Seconds by which a site's clock was ahead at its last request", "site"
        )
        self.site_outdated = self._gauge(
            "site_outdated", "1 if a site's release is too far behind the relay's to work with it, else 0", "site"
        )
        self.open_tokens = self._gauge("open_tokens", "Usable join tokens")
        self.nonces = self._gauge("nonces", "Writes stored against replay")
        self.oldest_key = self._gauge("oldest_key_timestamp_seconds", "When the oldest key in use was created", "kind")
        # Upkeep
        self.audit_entries = self._gauge("audit_entries", "Entries of the audit log")
        self.audit_checkpoint = self._gauge("audit_checkpoint_timestamp_seconds", "When the audit log was last signed")
        self.audit_verified = self._gauge(
            "audit_verified_timestamp_seconds", "When the audit log was last found intact"
        )
        self.audit_broken = self._gauge("audit_broken", "1 if the audit log was found changed, else 0")
        self.backup = self._gauge("last_backup_timestamp_seconds", "When the last backup finished")
        self.certificate_expiry = self._gauge(
            "certificate_expiry_timestamp_seconds", "When the TLS certificate in use expires", "certificate"
        )
        self._gauge("build_info", "Always 1; the version is the label", "version").labels(__version__).set(1)
        self._start_at_zero(problems)

    def _start_at_zero(self, problems: Iterable[str]) -> None:
        """Create series before their first event: Prometheus sees no increase when a series first appears."""
        for counter, labels in ((self.problems, problems), (self.faults, FAULTS), (self.payload_bytes, ("in", "out"))):
            for label in labels:
                counter.labels(label)
        for activity in ACTIVITIES:
            self.database_seconds.labels(activity)
            self.database_wait_seconds.labels(activity)
            for gauge in (self.database_busy, self.database_limit, self.database_users):
                gauge.labels(activity)
        for state in RunState:
            self.runs.labels(state)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"secagg_relay_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"secagg_relay_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"secagg_relay_{name}", text, labels, registry=self.registry, buckets=_BUCKETS)
