"""A run's exported page in a real browser."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from coordinator.report.page import export
from tests.support.runs import HOSTILE, lung_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CURVE = np.array([0x1B, 0x4F, 0x8A]) / 255

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


def browsed(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open the page and return what the browser printed, its console on stderr."""
    export(lung_run(), tmp_path / "run.html")
    quiet = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--no-first-run", "--enable-logging=stderr", *quiet]
    return subprocess.run(
        [*command, f"--user-data-dir={tmp_path / 'profile'}", *options, (tmp_path / "run.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def test_the_page_is_shown_whole(tmp_path: Path) -> None:
    done = browsed(tmp_path, "--window-size=1000,2600", f"--screenshot={tmp_path / 'shown.png'}")
    assert not re.findall(r"CONSOLE.*|Refused to .*", done.stderr)
    picture = imread(tmp_path / "shown.png")[..., :3]
    assert picture.shape[1] == 1000
    blue = (np.abs(picture - CURVE) < 0.02).all(axis=2)
    rows = np.flatnonzero(blue.any(axis=1))
    assert len(rows) > 100  # two figures, drawn
    assert rows[-1] - rows[0] > 400


def test_nothing_of_a_name_is_taken_for_markup(tmp_path: Path) -> None:
    dom = browsed(tmp_path, "--dump-dom").stdout
    assert "<script" not in dom
    assert re.search(r"<h1>(.*?)</h1>", dom)[1] == HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(
        ">", "&gt;"
    )  # type: ignore[index]
