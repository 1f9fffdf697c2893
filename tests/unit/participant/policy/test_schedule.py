"""When a site computes: windows over midnight, weekends, time zones, and the days on which clocks change."""

from datetime import UTC, datetime, time

import pytest

from participant.policy.schedule import Window, opens

NIGHTS = (
    Window(days=("mon", "tue", "wed", "thu", "fri"), begins=time(20), ends=time(6)),
    Window(days=("sat", "sun")),
)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        ("2026-11-25 12:00:00", "2026-11-25 20:00:00"),  # a Wednesday
        ("2026-11-25 19:59:59", "2026-11-25 20:00:00"),
        ("2026-11-25 20:00:00", "2026-11-25 20:00:00"),
        ("2026-11-26 05:59:59", "2026-11-26 05:59:59"),  # Wednesday's night
        ("2026-11-26 06:00:00", "2026-11-26 20:00:00"),
        ("2026-11-27 23:00:00", "2026-11-27 23:00:00"),
        ("2026-11-28 12:00:00", "2026-11-28 12:00:00"),  # a Saturday, all day
        ("2026-11-29 23:59:59", "2026-11-29 23:59:59"),
        ("2026-11-30 00:00:00", "2026-11-30 20:00:00"),
    ],
)
def test_nights_and_weekends(now: str, begins: str) -> None:
    assert opens(NIGHTS, "UTC", at(now)) == at(begins)


def test_without_windows_a_site_always_computes() -> None:
    assert opens((), "UTC", 12.5) == 12.5


def test_hours_are_those_of_the_time_zone() -> None:
    window = (Window(begins=time(8), ends=time(9)),)
    assert opens(window, "Europe/Berlin", at("2026-11-25 06:00:00")) == at("2026-11-25 07:00:00")
    assert opens(window, "Europe/Berlin", at("2026-07-25 05:00:00")) == at("2026-07-25 06:00:00")


def test_the_night_on_which_clocks_are_put_back_is_an_hour_longer() -> None:
    """On 25 October 2026 three o'clock in Berlin comes twice; the window from 22 to 6 lasts nine hours."""
    window = (Window(begins=time(22), ends=time(6)),)
    inside = [at("2026-10-24 20:00:00") + 60 * minute for minute in range(9 * 60)]
    assert all(opens(window, "Europe/Berlin", now) == now for now in inside)
    assert opens(window, "Europe/Berlin", inside[-1] + 60) == at("2026-10-25 21:00:00")


def test_one_day_in_the_week_is_a_week_away() -> None:
    window = (Window(days=("wed",), begins=time(10), ends=time(11)),)
    assert opens(window, "UTC", at("2026-11-25 11:00:00")) == at("2026-12-02 10:00:00")
