"""A run's progress in a terminal: lines for milestones, and a bar for the sites still awaited."""

from io import StringIO

import pytest
from rich.console import Console

from coordinator.session import progress
from coordinator.session.progress import Event, bars, in_words, nowhere, on_screen

EVENTS = [
    Event("step", "Join", sites=3),
    Event("heard", "Join", site="north"),
    Event("epoch-ready", detail="3 sites agreed on keys for 32 rounds"),
    Event("step", "Upload", 1, sites=3),
    Event("heard", "Upload", 1, "north"),
    Event("heard", "Upload", 1, "south"),
    Event("lost", "Upload", 1, "west", "sent no Upload in time"),
    Event("round-done", "", 1, detail="sum over 2 sites, 1 lost on the way"),
]


def test_lines_for_milestones() -> None:
    out = StringIO()
    show = in_words(Console(file=out, width=120))
    for event in EVENTS:
        show(event)
    lines = out.getvalue().splitlines()
    assert [line.split("  ", 1)[1].strip() for line in (line.strip() for line in lines)] == [
        "setup: 3 sites agreed on keys for 32 rounds",
        "round 1: west sent no Upload in time",
        "round 1: sum over 2 sites, 1 lost on the way",
    ]


def test_a_bar_counts_the_sites_of_the_present_step() -> None:
    out = StringIO()
    with bars(Console(file=out, force_terminal=True, width=100, legacy_windows=False)) as show:
        for event in EVENTS[:6]:
            show(event)
    text = out.getvalue()
    assert "round 1: Upload" in text
    assert "2/3" in text
    assert "sites agreed on keys" in text


def test_words_of_others_are_no_markup() -> None:
    out = StringIO()
    in_words(Console(file=out, width=120))(Event("lost", "Upload", 1, "a[/b]", "V-0708 [site 3]: [red]shares"))
    assert "round 1: a[/b] V-0708 [site 3]: [red]shares" in out.getvalue()


@pytest.mark.parametrize(("is_terminal", "expected"), [(True, "bars"), (False, "in_words")])
def test_where_what_is_shown(monkeypatch: pytest.MonkeyPatch, is_terminal: bool, expected: str) -> None:
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=StringIO(), force_terminal=is_terminal))
    with on_screen(visible=True) as show:
        assert expected in show.__qualname__
    with on_screen(visible=False) as show:
        assert show is nowhere
