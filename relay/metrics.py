"""The relay's metrics, in a registry of their own so that several relays fit into one process (tests)."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from secagg import __version__


class Metrics:
    """Names and labels are part of the operator's interface. Labels are bounded: no site, run or path is one.

    Args:
        waiting_polls: tells how many long polls wait.
    """

    def __init__(self, waiting_polls: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "secagg_relay_requests", "Requests, by endpoint and status", ["route", "status"], registry=self.registry
        )
        self.problems = Counter(
            "secagg_relay_problems", "Refused requests, by type of problem", ["type"], registry=self.registry
        )
        self.seconds = Histogram(
            "secagg_relay_request_seconds",
            "Time to answer, without the wait of long polls",
            ["route"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self.messages = Counter("secagg_relay_messages", "Messages accepted", registry=self.registry)
        self.frame_bytes = Counter("secagg_relay_frame_bytes", "Bytes of accepted frames", registry=self.registry)
        self.payload_bytes = Counter(
            "secagg_relay_payload_bytes", "Bytes of payloads, by direction", ["direction"], registry=self.registry
        )
        self.connections = Gauge("secagg_relay_connections", "Connections to the public port", registry=self.registry)
        self.refused_connections = Counter(
            "secagg_relay_refused_connections",
            "Connections that were not taken, or were ended because the other end was slow",
            ["reason"],
            registry=self.registry,
        )
        polls = Gauge("secagg_relay_waiting_polls", "Long polls that wait", registry=self.registry)
        polls.set_function(waiting_polls)
        build = Gauge(
            "secagg_relay_build_info", "Always 1; the version is the label", ["version"], registry=self.registry
        )
        build.labels(__version__).set(1)
