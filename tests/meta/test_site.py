"""The documentation site: it builds without a warning, and its pages need nothing from elsewhere.

A strict build fails on a link or anchor without a target, so this covers every page and every inclusion.
"""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.pages import ROOT

pytest.importorskip("mkdocs", reason="the dependency group docs is not installed; the site is not built")
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "object": "data",
    "embed": "src",
    "form": "action",
}
FROM_ELSEWHERE = re.compile(r"(?:https?:)?//")


class _Page(HTMLParser):
    """What a page loads, and the words on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in LOADED and named.get(LOADED[tag]):
            self.loaded.append(named[LOADED[tag]])
        if tag == "link" and named.get("rel") not in {"canonical", "prev", "next", "alternate"}:
            self.loaded.append(named["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return target


def test_pages_load_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    loaded = {(page.name, link) for page in pages for link in _Page(page.read_text()).loaded}
    assert any(link.endswith(".css") for _, link in loaded)
    assert [one for one in loaded if FROM_ELSEWHERE.match(one[1])] == []


def test_styles_load_nothing_from_elsewhere(site):
    styles = [path.read_text() for path in site.rglob("*.css")]
    urls = [url for style in styles for url in re.findall(r"url\(['\"]?([^)'\"]+)|@import ['\"]([^'\"]+)", style)]
    assert styles
    assert [url for pair in urls for url in pair if FROM_ELSEWHERE.match(url)] == []


def test_no_page_asks_the_theme_for_what_it_would_fetch(site):
    """The theme's script fetches Mermaid, and the number of stars of a repository, for pages that ask for them."""
    for page in site.rglob("*.html"):
        assert not re.search(r'class="[^"]*mermaid|data-md-component="source"', page.read_text()), page


def test_sections_are_included(site):
    page = (site / "tutorials/first-sum.html").read_text()
    text = re.sub(r"<[^>]+>", "", page)
    assert 'title="include"' not in page
    assert "secagg-participant enroll" in text
    assert "secagg-relay token create" in text


def test_every_command_analysis_statistic_and_operation_has_its_place(site):
    from participant.analyses.catalogue import ANALYSES
    from participant.statistics.evaluation.registry import STATISTICS
    from relay.server.routes import ROUTES

    reference = site / "reference"
    analyses, statistics = ((reference / f"api/{name}.html").read_text() for name in ("analyses", "statistics"))
    assert [name for name in ANALYSES if f'<h2 id="{name}">' not in analyses] == []
    assert [name for name in STATISTICS if f'<h2 id="{name}">' not in statistics] == []
    interface = (reference / "interface.html").read_text()
    assert [route.path for route in ROUTES if f"{route.method} {route.path}\n" not in interface] == []
    for program, command in (("relay", "token create"), ("participant", "data import"), ("coordinator", "run")):
        assert f"secagg-{program} {command}<" in (reference / f"commands/{program}.html").read_text()
