"""Metrics of a coordinator for Prometheus. Names of sites and analyses are labels; numbers from data never are."""

import time
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from coordinator.journal.figures import Figure
from coordinator.session.progress import Event, Show
from relay.api.states import FINAL_RUN, RunState
from relay.party.disk import Disk

MEASURES = ("loss", "accuracy", "deviance", "log_likelihood")
"""Attributes of results that say how well a model fits; they are sums over all sites, or follow from such sums."""
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class CoordinatorMetrics:
    """The collectors of one process.

    A labelled counter has all its series from the start, at 0: `rate` and `increase` miss the step from 0 to 1 of a
    series that did not exist before.

    Attributes:
        exported: whether this process has a port from which its metrics are scraped.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._rounds = self._counter("rounds", "Rounds by how they ended: done or abandoned", "end")
        self._epochs = self._counter("epochs", "Epochs that were set up")
        self._runs = self._counter("runs_ended", "Runs that left this process, by state", "state")
        self._tasks = self._counter("tasks", "Analyses by how they ended", "analysis", "end")
        self._lost = self._counter("sites_lost", "Steps in which a site sent nothing in time", "site")
        self._refused = self._counter("refused_frames", "Frames that were refused, by site", "site")
        self._took_over = self._counter("takeovers", "Runs taken over from another process")
        self.exported = False
        self._latency = Histogram(
            "secagg_coordinator_site_seconds",
            "Time from the start of a step to a site's frame",
            ["site"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._fit = Gauge(
            "secagg_coordinator_fit",
            "How well the last model of an analysis fits",
            ["analysis", "measure"],
            registry=self.registry,
        )
        self._last_round = Gauge(
            "secagg_coordinator_last_round_timestamp_seconds", "Time of the last finished round", registry=self.registry
        )
        self._open = Gauge("secagg_coordinator_open_runs", "Runs that this process executes", registry=self.registry)
        self._idle = Gauge(
            "secagg_coordinator_longest_idle_run_seconds",
            "Time since the most idle run last heard from any site",
            registry=self.registry,
        )
        self._overdue = Gauge(
            "secagg_coordinator_overdue_runs",
            "Runs without a final state a minute after their deadline",
            registry=self.registry,
        )
        self._heard: dict[UUID, float] = {}

        self._disk = Gauge(
            "secagg_coordinator_disk_trouble",
            "1 while the disk takes no writes or the reserve is in use, else 0",
            registry=self.registry,
        )
        for end in ("done", "abandoned"):
            self._rounds.labels(end)
        for state in FINAL_RUN:
            self._runs.labels(state.value)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self._counters[name] = Counter(f"secagg_coordinator_{name}", text, labels, registry=self.registry)
        return self._counters[name]

    def figures(self) -> list[Figure]:
        """Return what the counters have counted."""
        return [
            Figure(name, sample.value, sample.labels)
            for name, counter in self._counters.items()
            for metric in counter.collect()
            for sample in metric.samples
            if sample.name.endswith("_total") and sample.value
        ]

    def add(self, figures: Iterable[Figure]) -> None:
        """Count what other processes have counted; a counter that is unknown here belongs to another release."""
        for figure in figures:
            if (counter := self._counters.get(figure.counter)) is not None:
                (counter.labels(**figure.labels) if figure.labels else counter).inc(figure.value)

    def watch_disk(self, disk: Disk) -> None:
        """Report this disk's trouble from now on."""
        self._disk.set_function(lambda: float(disk.state is not None))

    def watch(self, run: UUID, analyses: Iterable[str], sites: Iterable[str]) -> Show:
        """Return a function that counts the events of a run.

        Args:
            run: ID of the run.
            analyses: names of the run's analyses.
            sites: names of the sites that may take part.
        """
        began = 0.0
        for analysis in analyses:
            for end in ("done", "failed"):
                self._tasks.labels(analysis, end)
        for site in sites:
            self._lost.labels(site)
            self._refused.labels(site)
        self._heard[run] = time.time()
        self._open.set(len(self._heard))
        self._idle.set_function(lambda: max((time.time() - at for at in self._heard.values()), default=0.0))

        def show(event: Event) -> None:
            nonlocal began
            if event.what == "step":
                began = event.seconds
            elif event.what == "heard":
                self._heard[run] = time.time()
                self._latency.labels(event.site).observe(event.seconds - began)
            elif event.what == "lost":
                self._lost.labels(event.site).inc()
            elif event.what == "refused":
                self._refused.labels(event.site).inc()
            elif event.what == "epoch-ready":
                self._epochs.inc()
            elif event.what == "round-done":
                self._rounds.labels("done").inc()
                self._last_round.set_to_current_time()
            elif event.what == "round-abandoned":
                self._rounds.labels("abandoned").inc()

        return show

    def left(self, run: UUID, state: RunState) -> None:
        """Record that this process no longer executes a run."""
        self._heard.pop(run, None)
        self._open.set(len(self._heard))
        self._runs.labels(state.value).inc()

    def finished(self, analysis: str, result: Any) -> None:
        """Count an analysis that produced a result, and set the measures of its fit."""
        self._tasks.labels(analysis, "done").inc()
        names = [field.name for field in fields(result)] if is_dataclass(result) else []
        for measure in (name for name in MEASURES if name in names):
            self._fit.labels(analysis, measure).set(float(getattr(result, measure)))

    def failed(self, analysis: str) -> None:
        """Count an analysis that produced no result."""
        self._tasks.labels(analysis, "failed").inc()

    def taken_over(self) -> None:
        """Count a run that this process took over."""
        self._took_over.inc()

    def overdue(self, number: int) -> None:
        """Record how many runs should be over but are not."""
        self._overdue.set(number)
