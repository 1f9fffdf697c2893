"""The data manager's commands: they print, log and describe no values of a table."""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy
from typer.testing import CliRunner, Result

from participant.commands.cli import app
from participant.data.store.store import DatasetStore
from participant.projects.catalogue import entry
from participant.study.terms import ProjectTerms
from relay.party import keystore
from secagg.errors import SecaggError
from tests.support import omop

CANARIES = ("Zyxwold", "48151623", "hunter2")
TABLE = "name,weight,age\n" + "".join(f"Zyxwold{n},48151623.{n},{40 + n}\n" for n in range(50))


@pytest.fixture
def run(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SECAGG_PARTICIPANT_DATA", str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["data", *arguments])

    return run


def facts(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_dataset_s_life(run, tmp_path: Path) -> None:
    imported = facts(run("import", "lung", "t.csv", "--json"))
    assert (imported["version"], imported["rows"], imported["bad_rows"]) == (1, 50, 0)
    assert list(imported["seconds"])[:4] == ["names", "load", "duplicates", "types"]
    assert facts(run("import", "lung", "t.csv", "--json"))["version"] == 2
    assert [one["version"] for one in facts(run("list", "--json"))["datasets"]] == [2]
    shown = facts(run("show", "lung", "--json"))
    assert shown["versions"] == [1, 2]
    assert Path(shown["folder"], "report.html").exists()
    assert "weight" in run("show", "lung").stdout
    assert facts(run("verify", "lung", "--json"))["verified"]
    assert isinstance(run("drop", "lung").exception, SecaggError)  # nobody is there to be asked
    assert facts(run("drop", "lung", "--version", "2", "--yes", "--json"))["dropped"] == [2]
    assert facts(run("drop", "lung", "--yes", "--json"))["dropped"] == [1]
    assert facts(run("list", "--json"))["datasets"] == []


def test_progress_is_json_lines_without_a_terminal(run) -> None:
    result = run("import", "lung", "t.csv", "--json")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert {line["step"] for line in lines} >= {"load", "validate", "store"}
    assert lines[-1]["rows"] == 50
    assert run("import", "lung", "t.csv", "--no-progress", "--json").stderr == ""


def test_nothing_of_a_table_is_printed_logged_or_described(run, tmp_path: Path, caplog) -> None:
    """Beside the data, the report and the list of bad rows, which stay in the folder, no file holds a value."""
    (tmp_path / "schema.toml").write_text('[columns.weight]\ntype = "real"\nhigh = 1\n')
    (tmp_path / "map.toml").write_text('[variables.mass]\ncolumn = "weight"\n')
    (tmp_path / "defs.toml").write_text('[[variables]]\ncode = "mass"\nlabel = "Mass"\ntype = "real"\n')
    with sqlalchemy.create_engine("sqlite:///hunter2.db").connect() as connection:
        connection.execute(sqlalchemy.text("create table t (name text)"))
        connection.execute(sqlalchemy.text("insert into t values ('Zyxwold')"))
        connection.commit()
        connection.engine.dispose()
    (tmp_path / "url").write_text("sqlite:///hunter2.db\n")
    for n, line in enumerate(("Zyxwold\n", 'Zyxwold","1\n', "Zyxwold,48151623,1,1\n", "Zyxwold,=48151623,1\n")):
        (tmp_path / f"bad{n}.csv").write_text("name,weight,age\n" + line)
    said = []
    for arguments in (
        ("import", "lung", "t.csv", "--json"),
        ("import", "lung", "t.csv"),
        ("import", "lung", "t.csv", "--schema", "schema.toml"),
        ("map", "lung", "map.toml", "--definitions", "defs.toml", "--json"),
        ("import", "lung", "t.csv"),  # mapped again
        ("show", "lung"),
        ("list",),
        ("verify", "lung"),
        ("import", "people", "--url-file", "url", "--query", "select name from t where name = 'Zyxwold'"),
        ("import", "people", "--url-file", "url", "--table", "nothing"),
        ("import", "people", "postgresql://u:hunter2@h/d", "--table", "t"),
        *(("import", "bad", f"bad{n}.csv") for n in range(4)),
    ):
        result = run(*arguments)
        said.append(result.output + str(result.exception or ""))
    store = DatasetStore(tmp_path / "site/datasets")
    assert store.describe("lung").mapping
    terms = ProjectTerms.model_validate(
        {"purpose": "p", "dataset": "lung", "columns": ("mass",), "statistics": ("counts",)}, strict=False
    )
    said += [entry(UUID(int=1), terms, store.describe("lung")).encode().decode(), caplog.text]
    for path in (tmp_path / "site").rglob("*"):
        if path.is_file() and path.name not in {
            "data.parquet",
            "bad-rows.csv",
            "report.html",
            "report.md",
            "report.csv",
        }:
            said.append(path.read_text())
        assert path.stat().st_mode & 0o077 == 0 or path.name == "site", path
    found = [(canary, text) for canary in CANARIES for text in said if canary in text.replace("hunter2.db", "")]
    assert found == []
    assert "48151623" in (tmp_path / "site/datasets/lung/refused/bad-rows.csv").read_text()


@pytest.mark.parametrize(
    "command",
    [["import"], ["list"], ["show"], ["verify"], ["export"], ["drop"], ["map"], ["catalogue"]],
    ids=lambda one: one[0],
)
def test_every_command_explains_itself(run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_one_source_and_one_project_are_named(run) -> None:
    for arguments in (
        ("import", "lung"),
        ("import", "lung", "t.csv", "--url-file", "t.csv"),
        ("map", "lung", "t.csv"),
        ("import", "lung", "t.csv", "--bad-rows", "1"),
    ):
        assert isinstance(run(*arguments).exception, SecaggError)


def test_a_cohort_is_shown_and_imported(run, tmp_path: Path) -> None:
    url = omop.sqlite(tmp_path / "omop.db", omop.vocabulary(), omop.patients(120))
    (tmp_path / "c.toml").write_text(omop.COHORT)
    shown = run("import", "heart", "--omop", url, "--cohort", "c.toml", "--show-sql")
    assert shown.exit_code == 0
    assert "WITH concepts_diabetes AS" in shown.stdout
    assert facts(run("list", "--json"))["datasets"] == []
    result = run("import", "heart", "--omop", url, "--cohort", "c.toml", "--json")
    imported = facts(result)
    assert imported["source"]["kind"] == "omop"
    assert imported["columns"][0]["name"] == "infarction_time"
    assert imported["attrition"][0] == {"words": "persons in the database", "persons": 0, "remaining": 120}
    assert imported["attrition"][-1]["remaining"] == imported["rows"]
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert lines[0] == {"event": "sql", "sql": shown.stdout.rstrip("\n")}
    (tmp_path / "u").write_text(url)
    assert facts(run("import", "heart", "--url-file", "u", "--cohort", "c.toml", "--json"))["version"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--omop", "sqlite:///x.db"], "need a cohort: --cohort FILE"),
        (["t.csv", "--show-sql"], "need a cohort: --cohort FILE"),
        (["--cohort", "c.toml"], "name one source of the cohort"),
        (["--cohort", "c.toml", "--omop", "sqlite:///x.db", "--fhir", "."], "name one source of the cohort"),
        (["t.csv", "--cohort", "c.toml"], "the source is --omop or --fhir"),
        (["--cohort", "c.toml", "--omop", "sqlite:///x.db", "--separator", ";"], "the source is --omop or --fhir"),
        (["--cohort", "c.toml", "--fhir", ".", "--show-sql"], "--show-sql is for OMOP databases"),
        (["--cohort", "gone.toml", "--omop", "sqlite:///x.db"], "there is no file gone.toml"),
        (["--cohort", "c.toml", "--omop", "sqlite:///x.db"], r"there is no file x\.db"),
    ],
)
def test_options_of_a_cohort_that_do_not_fit_are_refused(
    run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "c.toml").write_text(omop.COHORT)
    result = run("import", "heart", *arguments)
    assert isinstance(result.exception, SecaggError)
    assert re.search(message, str(result.exception))
    assert not (tmp_path / "x.db").exists()


def test_backup_restore_and_drill(run, tmp_path: Path, monkeypatch) -> None:
    passphrase = "correct horse battery staple"
    monkeypatch.setenv("SECAGG_PARTICIPANT_PASSPHRASE", passphrase)
    keystore.create(tmp_path / "site" / "identity.json", passphrase)
    facts(run("import", "lung", "t.csv", "--json"))
    made = facts(run("backup", "--to", "backups", "--json"))
    assert [(one["name"], one["version"]) for one in made["versions"]] == [("lung", 1)]
    assert facts(run("restore", "backups", "--verify-only", "--json"))["there"] == ["lung version 1"]
    assert facts(run("drill", "backups", "--report", "drill.txt", "--json"))["lacking"] == []
    assert "passed" in (tmp_path / "drill.txt").read_text()
    monkeypatch.setenv("SECAGG_PARTICIPANT_DATA", str(tmp_path / "another"))
    restored = facts(run("restore", made["file"], "--json"))
    assert restored["restored"] == ["lung version 1"]
    assert facts(run("verify", "lung", "--json"))["verified"]
    monkeypatch.setenv("SECAGG_PARTICIPANT_PASSPHRASE", "correct horse battery stapler")
    monkeypatch.setenv("SECAGG_PARTICIPANT_DATA", str(tmp_path / "site"))
    assert isinstance(run("backup", "--to", "backups").exception, SecaggError)  # mistyped, so nobody could open it


def test_quality_debug_log_and_verbose_columns(run, tmp_path: Path) -> None:
    rows = ["1,x", "1,x", "2,", "three,y"]
    (tmp_path / "q.csv").write_text("a,b\n" + "\n".join(rows) + "\n")
    (tmp_path / "q.toml").write_text('bad_rows = 0.3\n[columns.a]\nheader = "a"\ntype = "integer"\n')
    shown = run("import", "q", "q.csv", "--schema", "q.toml", "--verbose", "--log", "import.log", "--no-progress")
    assert shown.exit_code == 0, shown.output
    assert re.search(r"^  b +text +1 missing", shown.stdout, re.MULTILINE)
    quality = facts(run("show", "q", "--json"))["quality"]
    assert (quality["completeness"], quality["validity"], quality["uniqueness"]) == (round(5 / 6, 6), 0.75, 0.75)
    assert (quality["read"], quality["stored"], quality["bad"], quality["missing"]) == (4, 3, 1, {"a": 0, "b": 1})
    assert "quality: completeness 83.33%, validity 75.00%, uniqueness 75.00%" in run("show", "q").stdout
    lines = [json.loads(line) for line in (tmp_path / "import.log").read_text().splitlines()]
    assert (lines[0]["event"], lines[-1]["event"]) == ("begin", "end")
    assert {line["step"] for line in lines[1:-1]} >= {"load", "validate", "store"}
    assert (tmp_path / "import.log").stat().st_mode & 0o077 == 0
    refused = run("import", "q", "q.csv", "--bad-rows", "0", "--schema", "q.toml", "--log", "import.log")
    assert isinstance(refused.exception, SecaggError)
    assert json.loads((tmp_path / "import.log").read_text().splitlines()[-1])["error"] == "BadRowsError"
    assert "three" not in (tmp_path / "import.log").read_text()
