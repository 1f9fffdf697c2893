"""The demonstration, run as a newcomer would run it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

MODULE = (sys.executable, "-m", "coordinator")
INSTALLED = (
    str(Path(sys.executable).with_name("secagg-coordinator")),
)  # and every process with it is an interpreter of its own, as in life


def demo(tmp_path: Path, *options: str, program: Sequence[str] = MODULE) -> subprocess.CompletedProcess[str]:
    command = [*program, "demo", "--out", str(tmp_path / "out"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.parametrize(("sites", "kill"), [(9, 2), (9, 1), (3, 0)])
def test_the_answer_is_the_pooled_one(tmp_path: Path, sites: int, kill: int) -> None:
    program = MODULE if kill else INSTALLED
    done = demo(tmp_path, "--json", "--sites", str(sites), "--kill", str(kill), program=program)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert len(report["sites"]) == sites
    assert len(report["killed"]) == kill
    assert set(report["survivors"]) == set(report["sites"]) - set(report["killed"])
    assert report["max_abs_diff"] <= 1e-4
    assert report["max_abs_diff"] <= 1e-8  # what the quantisation of the sums really costs
    assert 1e-4 < report["max_abs_diff_raw_times"] < 1e-1
    assert report["relay_saw_plaintext"] is False
    assert report["canaries_searched"] > 10_000
    assert set(report["bytes_per_site"]) >= set(report["sites"])
    assert (tmp_path / "out" / "kaplan-meier.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "out" / "kaplan-meier.svg").read_bytes()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--sites", "2"), "3 to 9 sites"),
        (("--sites", "10"), "3 to 9 sites"),
        (("--kill", "3"), "at most 2 can be killed"),
        (("--sites", "3", "--kill", "1"), "at most 0 can be killed"),
    ],
)
def test_impossible_numbers_are_refused_at_once(tmp_path: Path, options: tuple[str, ...], complaint: str) -> None:
    done = demo(tmp_path, *options)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert not (tmp_path / "out").exists()
