"""Commands for runs that need no relay: simulated runs, and inspecting a journal."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from typer.testing import CliRunner

from coordinator import connect
from coordinator.commands.cli import app
from secagg.errors import ParameterError, SecaggError
from tests.support.network import KAPLAN_MEIER, TERMS, table

SITES = {name: table(seed) for seed, name in enumerate(("north", "south", "west"))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    for name, columns in SITES.items():
        pl.DataFrame(columns).write_csv(tmp_path / "tables" / f"{name}.csv")
    (tmp_path / "analysis.json").write_text(json.dumps(KAPLAN_MEIER))
    (tmp_path / "terms.toml").write_text(TERMS)
    return tmp_path


def invoke(*arguments: Any):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def refused(complaint: str, *arguments: Any) -> None:
    done = invoke(*arguments)
    assert isinstance(done.exception, SecaggError), done.output
    with pytest.raises(SecaggError, match=complaint):
        raise done.exception


def test_a_simulation_on_the_command_line_gives_what_a_notebook_gives(folder: Path) -> None:
    done = invoke(
        "run", folder / "analysis.json", "--simulate", folder / "tables", "--terms", folder / "terms.toml", "--json"
    )
    assert done.exit_code == 0, done.output
    with connect(simulate=SITES, progress=False) as session:
        expected = session.project("p").run(folder / "analysis.json").to_dict()
    facts = json.loads(done.stdout)
    assert (facts["results"], facts["rounds"]) == (expected["results"], expected["rounds"])
    events = [json.loads(line)["what"] for line in done.stderr.splitlines() if line.startswith("{")]
    assert events == ["round-opened", "round-done"]


def test_a_simulation_in_words(folder: Path) -> None:
    done = invoke("run", folder / "analysis.json", "--simulate", folder / "tables")
    assert "Kaplan-Meier curve" in done.stdout
    assert "sum over 3 sites" in done.stderr


def test_what_a_simulation_must_not_ask(folder: Path) -> None:
    (folder / "terms.toml").write_text(TERMS.replace('"status", ', ""))
    refused(
        "do not include the columns status",
        "run",
        folder / "analysis.json",
        "--simulate",
        folder / "tables",
        "--terms",
        folder / "terms.toml",
    )


def test_a_run_needs_one_project_and_one_file(folder: Path) -> None:
    refused("no project is named", "run", folder / "analysis.json", "--data", folder)
    refused("too many arguments", "run", "a", "b", folder / "analysis.json", "--data", folder)


def test_a_journal_without_runs(tmp_path: Path) -> None:
    assert "there are no runs yet" in invoke("runs", "--data", tmp_path).stdout
    assert json.loads(invoke("runs", "--data", tmp_path, "--json").stdout) == {"runs": []}
    for command in ("show", "export"):
        done = invoke(command, UUID(int=1), "--data", tmp_path)
        assert isinstance(done.exception, ParameterError)
        assert "has no run" in str(done.exception)
