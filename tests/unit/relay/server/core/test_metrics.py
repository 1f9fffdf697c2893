"""Metrics of the database, of the reasons of runs, and of the process, without a server."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.server.core import problem
from relay.server.core.metrics import FAULTS, RelayMetrics
from relay.server.core.storage_errors import DatabaseBusyError, DatabaseFullError, DatabaseUnavailableError
from relay.server.jobs.state_metrics import named_reasons
from relay.server.process.monitor import ProcessMonitor
from relay.server.store.measured import MeasuredDatabase


@pytest.fixture
def metrics(tmp_path):
    return RelayMetrics(tmp_path, lambda: 0, [kind.name for kind in problem.KINDS])


class Stubborn:
    """A database whose transactions run twice, and that lets one in at a time."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()

    async def write(self, work, *, appends=False):
        async with self.turn:
            work(None)
            await asyncio.sleep(0.02)
            return work(None)

    async def read(self, work):
        raise DatabaseBusyError("the database is busy")


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"secagg_relay_{name}", labels)


async def test_a_measured_database(metrics):
    database = MeasuredDatabase(Stubborn(), metrics)
    seen = []

    def work(db):
        seen.append(
            (
                value(metrics, "database_users", activity="write"),
                value(metrics, "database_connections_busy", activity="write"),
            )
        )
        return 7

    assert await asyncio.gather(*(database.write(work) for _ in range(3))) == [7, 7, 7]
    assert seen[1] == (3, 1)  # one works, two wait
    assert seen[-1] == (1, 1)
    assert value(metrics, "database_users", activity="write") == 0
    assert value(metrics, "database_connections_busy", activity="write") == 0
    assert value(metrics, "database_retries_total") == 3
    assert value(metrics, "database_seconds_count", activity="write") == 6
    assert value(metrics, "database_wait_seconds_count", activity="write") == 3
    assert value(metrics, "database_wait_seconds_sum", activity="write") >= 0.02 + 0.04
    with pytest.raises(DatabaseBusyError):
        await database.read(work)
    assert value(metrics, "database_users", activity="read") == 0


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DatabaseBusyError("x"), "busy"),
        (DatabaseFullError("x"), "full"),
        (DatabaseUnavailableError("x"), "database"),
        (OSError(28, "No space left on device"), "full"),
        (OSError(5, "Input/output error"), "input-output"),
        (ZeroDivisionError(), "internal"),
    ],
)
def test_a_fault_has_one_cause(error, cause):
    assert problem.cause_of(error) == cause
    assert cause in FAULTS


@given(st.dictionaries(st.text(max_size=30), st.integers(1, 100), max_size=60))
def test_reasons_are_labels_of_few_values(reasons):
    """A coordinator may write what it likes into a reason."""
    named = named_reasons(reasons)
    assert sum(named.values()) == sum(reasons.values())
    assert len(named) <= 21


def test_reasons_name_checks_and_operators():
    many = {f"V-{number:04d} [site 3]: a detail": 1 for number in range(40)}
    named = named_reasons(
        many | {"V-0302: other words": 5, "relay-restored": 7, "cancelled-by-operator": 3, "tired": 2}
    )
    assert named["V-0302"] == 5
    assert named["relay-restored"] == 7
    assert named["cancelled-by-operator"] == 3
    assert len(named) <= 21
    assert sum(named.values()) == 40 + 17


async def reaches(metrics, name: str, least: float) -> None:
    """Return when a series is there and at least so large."""
    async with asyncio.timeout(30):
        while (value(metrics, name) or 0) < least:  # noqa: ASYNC110  # a series tells nobody
            await asyncio.sleep(0.01)


async def test_a_blocked_loop_and_a_jump_of_the_clock_show(metrics, monkeypatch):
    import time

    monkeypatch.setattr("relay.server.process.monitor.EVERY_S", 0.01)
    monitor = ProcessMonitor(metrics)
    watching = asyncio.create_task(monitor.watch())
    await reaches(metrics, "event_loop_lag_seconds_count", 1)
    time.sleep(0.3)  # noqa: ASYNC251  # what must not happen
    await reaches(metrics, "event_loop_lag_seconds_sum", 0.2)
    now = time.time
    monkeypatch.setattr("relay.server.process.monitor.time.time", lambda: now() + 3600)
    await reaches(metrics, "clock_steps_total", 1)
    watching.cancel()
    assert value(metrics, "clock_steps_total") == 1
    for offset in (-20, -21, -19, 300):
        monitor.signed(1000 + offset, 1000)
    assert value(metrics, "clock_offset_seconds") == -19.5
