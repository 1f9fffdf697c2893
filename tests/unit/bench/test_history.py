"""Results are appended, found again, plotted, and summarised in words."""

import pytest

from bench import history, readme
from bench.growth import OURS, PLAIN
from bench.measure import Row
from bench.peers import FLOWER, LOM
from bench.plot import draw

MACHINE = {"processor": "A Processor (R) 9", "features": ["aes", "vaes"]}


def test_results_are_appended_to_the_file_of_the_measurement_and_machine(tmp_path):
    for figure in (1.0, 2.0):
        path = history.keep("round", MACHINE, [Row("work", "", "fast", None, {"seconds": figure})], tmp_path)
    assert path.name == "round--a-processor-r-9-vaes.json"
    entry = history.newest("round", tmp_path)
    assert entry["machine"] == MACHINE
    assert entry["rows"][0]["figures"] == {"seconds": 2.0}


def test_what_was_never_kept_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m bench growth --keep"):
        history.newest("growth", tmp_path)


def test_the_plot_shows_every_candidate(tmp_path):
    series = {OURS: [1, 2], FLOWER: [2, 3], PLAIN: [0.1, 0.2], LOM: [5]}
    rows = [
        {"figures": {"what": what, "axis": axis, "held": "", "at": [5, 10], "series": series}}
        for what in ("client", "server")
        for axis in ("n", "d")
    ]
    png, svg = draw({"date": "2026-11-24T00:00:00", "machine": MACHINE, "rows": rows}, tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert all(name in svg.read_text() for name in series)


def test_the_readme_tells_the_newest_results():
    """`python -m bench.readme` writes what this compares."""
    text = readme.README.read_text()
    assert readme.BEGIN + readme.paragraph() + "\n" + readme.END in text
