"""Task files: one analysis or several, and clear messages for errors."""

from pathlib import Path

import pytest

from coordinator.projects.projects import read_terms
from coordinator.runs.lifecycle import check_single
from coordinator.runs.run_file import read_run_file
from participant.analyses.base.errors import SpecError
from participant.analyses.survival.cox import CoxSpec
from participant.analyses.survival.kaplan_meier import KaplanMeierSpec

KAPLAN_MEIER = """
analysis = "kaplan-meier"
dataset = "lung"
time = "time"
event = "status"
row_limit = 1000
grid = {width = 7, count = 150}
"""
COX = KAPLAN_MEIER.replace("kaplan-meier", "cox") + 'covariates = [{column = "age", low = 18, high = 100}]\n'


def written(tmp_path: Path, text: str, name: str = "analysis.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_one_analysis(tmp_path: Path) -> None:
    (task,) = read_run_file(written(tmp_path, KAPLAN_MEIER)).tasks
    assert isinstance(task, KaplanMeierSpec)


def test_several_tasks_in_order(tmp_path: Path) -> None:
    tasks = read_run_file(written(tmp_path, f"[[task]]{COX}\n[[task]]{KAPLAN_MEIER}")).tasks
    assert [type(task) for task in tasks] == [CoxSpec, KaplanMeierSpec]


def test_a_file_may_name_its_project(tmp_path: Path) -> None:
    assert read_run_file(written(tmp_path, KAPLAN_MEIER)).project is None
    found = read_run_file(written(tmp_path, f'project = "Lung survival"\n[[task]]{COX}'))
    assert (found.project, len(found.tasks)) == ("Lung survival", 1)


def test_json_says_the_same(tmp_path: Path) -> None:
    (task,) = read_run_file(written(tmp_path, KAPLAN_MEIER)).tasks
    assert read_run_file(written(tmp_path, task.model_dump_json(exclude_none=True), "analysis.json")).tasks == (task,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "must contain one analysis"),
        ("task = []", "must contain one analysis"),
        ("analysis = ", "cannot be read"),
        ('analysis = "astrology"', "analysis"),
        (KAPLAN_MEIER + "colour = 1", "colour"),
        (KAPLAN_MEIER.replace("1000", "0"), "row_limit"),
        (f"dataset = 1\n[[task]]{COX}", "must contain one analysis"),
        (f"project = 1\n{COX}", "project must be a name or an ID"),
        ('project = "p"', "must contain one analysis"),
    ],
)
def test_a_wrong_file_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        read_run_file(written(tmp_path, text))


def test_terms_of_a_project(tmp_path: Path) -> None:
    text = 'purpose = "x"\ndataset = "lung"\ncolumns = ["b", "a"]\nstatistics = ["moments"]\n'
    assert read_terms(written(tmp_path, text)).columns == ("a", "b")
    with pytest.raises(SpecError, match="is not a TOML file"):
        read_terms(written(tmp_path, "purpose"))
    with pytest.raises(SpecError, match="columns"):
        read_terms(written(tmp_path, text.replace('["b", "a"]', "[]")))


def test_what_the_command_line_says_of_terms_counts_before_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path, 'purpose = "x"\ndataset = "lung"\ncolumns = ["a"]\nstatistics = ["moments"]\nmode = "he"\n'
    )
    assert read_terms(path).mode == "he"
    assert read_terms(path, {"publish": True}).coordinator_learns
    assert read_terms(path, {"mode": "masks"}).mode == "masks"
    with pytest.raises(SpecError, match="publish applies only to mode he"):
        read_terms(path, {"mode": "masks", "publish": True})


def test_only_analyses_of_a_single_sum_go_without_it(tmp_path: Path) -> None:
    check_single(read_run_file(written(tmp_path, KAPLAN_MEIER)).tasks)
    with pytest.raises(SpecError, match="keep its sums, but cox needs each sum for the next query"):
        check_single(read_run_file(written(tmp_path, f"[[task]]{KAPLAN_MEIER}\n[[task]]{COX}")).tasks)
