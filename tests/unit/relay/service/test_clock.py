"""A clock that is set makes nothing overdue, and counts from then on; expiry in words."""

import pytest

from relay.service import clock
from relay.service.clock import SteadyClock
from relay.service.dates import expiry

DAY_S = 86_400.0


class Machine:
    """A machine's wall clock and the time since its start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.elapsed = 1_764_000_000.0, 1000.0
        monkeypatch.setattr(clock, "_wall", lambda: self.wall)
        monkeypatch.setattr(clock, "_elapsed", lambda: self.elapsed)

    def passes(self, seconds: float, *, drift: float = 0.0) -> None:
        self.elapsed += seconds
        self.wall += seconds + drift


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_a_jump_ahead_makes_nothing_overdue_and_is_followed_later(machine: Machine) -> None:
    steady, deadline = SteadyClock(), machine.wall + 3600
    machine.passes(10, drift=7200)
    assert steady.now() == deadline - 3590
    for _ in range(358):
        machine.passes(10)
        assert steady.now() < deadline
    machine.passes(10)
    assert steady.now() == deadline  # when an hour has passed, and not before
    for _ in range(400):
        machine.passes(10)
        steady.now()
    assert steady.now() == machine.wall  # two hours later the clock counts as right


def test_a_jump_that_is_taken_back_leaves_nothing(machine: Machine) -> None:
    steady = SteadyClock()
    machine.passes(10, drift=7200)
    steady.now()
    machine.passes(10, drift=-7200)
    assert steady.now() == machine.wall
    machine.passes(10)
    assert steady.now() == machine.wall


def test_a_jump_back_does_not_stop_the_time(machine: Machine) -> None:
    steady, began = SteadyClock(), machine.wall
    machine.passes(10, drift=-7200)
    assert steady.now() == began + 10


def test_small_corrections_are_followed_at_once(machine: Machine) -> None:
    steady = SteadyClock()
    machine.passes(10, drift=2)
    assert steady.now() == machine.wall


@pytest.mark.parametrize(
    ("left_s", "said"),
    [
        (30 * DAY_S, "expires in 30 days"),
        (1.5 * DAY_S, "expires within two days"),
        (60, "expires today"),
        (0, "has expired"),
        (-0.3 * DAY_S, "has expired"),
        (-3 * DAY_S, "expired 3 days ago"),
    ],
)
def test_expiry_in_words(left_s: float, said: str) -> None:
    assert expiry(left_s) == said
