"""A run's page: complete, escaped, and self-contained."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from coordinator.report.page import export, page
from coordinator.runs.lifecycle import HeldBySites
from tests.support.runs import HOSTILE, lung_run


class Outside(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "iframe", "object", "embed"}:
            self.found.append(tag)
        self.found += [
            str(value) for name, value in attrs if name in {"src", "href"} and not str(value).startswith("data:")
        ]
        self.found += [name for name, _ in attrs if name.startswith("on")]


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    text = page(lung_run())
    assert Outside(text).found == []
    assert "default-src 'none'" in text
    assert HOSTILE not in text
    assert "<b>in</b>" not in text


def test_the_page_has_every_number_and_what_it_rests_on() -> None:
    run = replace(lung_run(), outcome="completed", began=0.0, ended=60.0, receipt="ab" * 32)
    text = page(run)
    for row in run.results[0].table():
        assert f"{row['coef']:.6f}" in text
    assert text.count("data:image/png;base64,") == 2
    assert "128 to 255" in text  # the cohort, in a band
    assert "ab" * 32 in text
    assert "begun 1970-01-01 00:00 UTC" in text
    assert len(re.findall("cox-risk-sets \\(version 3\\)", text)) == sum(
        asked.query.statistic == "cox-risk-sets" for asked, _ in run.answers
    )
    assert "statistic moments" in text
    for site in run.results[0].sites:
        assert site in text


def test_a_simulation_says_that_it_is_one(tmp_path: Path) -> None:
    export(lung_run(), tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "A simulated run" in text
    assert "receipt verify" not in text


def test_runs_without_results_have_a_page_too() -> None:
    failed = replace(lung_run(), results=(), answers=(), outcome="failed", detail="<too few>", terms=None)
    assert "The run failed: &lt;too few&gt;" in page(failed)
    held = replace(lung_run(), results=(HeldBySites("kaplan-meier", 1, ("north", "south")),))
    assert "the sites hold the result of round 1: north, south" in page(held)
