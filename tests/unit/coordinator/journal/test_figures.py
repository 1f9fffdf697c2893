"""Counters of a process that ended are counted by the one that stands, once."""

from contextlib import closing
from pathlib import Path
from uuid import UUID

from coordinator.journal.figures import leave, take
from coordinator.journal.schema import TABLES
from coordinator.session.metrics import CoordinatorMetrics
from coordinator.session.progress import Event
from relay.api.states import RunState
from relay.party.journal import Journal

RUN = UUID(int=1)


def ended() -> CoordinatorMetrics:
    """The metrics of a process that executed a run and lost a site in it."""
    metrics = CoordinatorMetrics()
    show = metrics.watch(RUN, ["glm"], ["north", "south"])
    for what in ("epoch-ready", "lost", "round-done"):
        show(Event(what, site="north", seconds=1.0))
    metrics.failed("glm")
    metrics.left(RUN, RunState.FAILED)
    return metrics


def value(metrics: CoordinatorMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"secagg_coordinator_{name}_total", labels)


def test_the_standing_process_counts_what_two_ended_ones_left(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "party", TABLES)) as journal:
        for _ in range(2):
            leave(journal, ended().figures())
        standing = CoordinatorMetrics()
        standing.add(take(journal))
        standing.add(take(journal))
        assert value(standing, "runs_ended", state="failed") == 2
        assert value(standing, "runs_ended", state="completed") == 0
        assert value(standing, "rounds", end="done") == 2
        assert value(standing, "epochs") == 2
        assert value(standing, "sites_lost", site="north") == 2
        assert value(standing, "tasks", analysis="glm", end="failed") == 2


def test_a_process_that_counted_nothing_leaves_nothing(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "party", TABLES)) as journal:
        leave(journal, CoordinatorMetrics().figures())
        assert take(journal) == []
