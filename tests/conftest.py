"""Programs start by a fork; randomised tests have no deadline, and print their seeds even if they pass."""

import logging

import pytest
from hypothesis import settings

from tests.support import forked

SEED = "seed"

settings.register_profile("secagg", deadline=None)  # how fast a machine is says nothing about the code
settings.load_profile("secagg")
forked.take_over()


@pytest.fixture(autouse=True)
def _no_handler_outlives_its_stream():
    """Commands that run in this process send the logs to a stderr that is closed after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def note_seed(record_property, request):
    """Return what notes a seed: the name of the test and the number stand in the summary of the run."""
    return lambda number: record_property(SEED, f"{request.node.nodeid}: {number}")


def pytest_terminal_summary(terminalreporter):
    reports = (
        report for kind in terminalreporter.stats.values() for report in kind if hasattr(report, "user_properties")
    )
    seeds = {value for report in reports for name, value in report.user_properties if name == SEED}
    if seeds:
        terminalreporter.section("seeds", sep="-")
        terminalreporter.write_line("\n".join(sorted(seeds)))
