"""Plans: one encoding for each meaning, and errors that name the place in the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.projects.projects import read_terms
from participant.analyses.catalogue import ANALYSES
from participant.study.asks import ASKS, first_query
from participant.study.plan import PlanError, Task, read_plan
from participant.study.review import check
from participant.study.terms import ProjectTerms, TermsError
from tests.support.plans import CLUSTERS, KAPLAN_MEIER, LOGISTIC, planned
from tests.unit.participant.analyses.test_examples import EXAMPLES, NAMED

UNPLANNED = ProjectTerms(purpose="p", dataset="lung", columns=("age",), statistics=("counts",))


def without(task: dict[str, Any], *path: str | int) -> dict[str, Any]:
    """A task that lacks one member."""
    changed = json.loads(json.dumps(task))
    inside = changed
    for step in path[:-1]:
        inside = inside[step]
    del inside[path[-1]]
    return changed


def test_terms_with_a_plan_come_back_as_the_same_bytes() -> None:
    terms = planned(KAPLAN_MEIER, LOGISTIC, CLUSTERS)
    assert ProjectTerms.decode(terms.encode()) == terms
    check(terms)


def test_terms_without_a_plan_are_the_bytes_that_they_were() -> None:
    assert b"plan" not in UNPLANNED.encode()
    assert ProjectTerms.decode(UNPLANNED.encode()).plan is None


def test_every_analysis_can_be_a_task() -> None:
    tasks = [
        {"name": example["analysis"]} | {k: v for k, v in example.items() if k not in {"dataset", "row_limit"}}
        for example in EXAMPLES
        if example["analysis"] != "given"
    ]
    for task in tasks:
        task.pop("minimum_persons", None)
    terms = planned(*tasks)
    assert ProjectTerms.decode(terms.encode()) == terms
    assert {spec.analysis for _, spec in terms.plan.specs("lung")} == set(ANALYSES)
    check(terms)


def test_a_task_is_never_read_as_part_of_its_specification() -> None:
    own = set(Task.model_fields) - {"specification"}
    assert [name for name, spec in ANALYSES.items() if own & set(spec.model_fields)] == []


def test_what_tasks_ask_for_is_what_the_readme_names() -> None:
    models = {"roc", "cross-validation"}  # they ask for their model's as well
    for analysis, statistics in NAMED.items():
        assert ASKS[analysis] == {one for one in statistics if one in _all()}, analysis
    assert models <= ASKS.keys()


def _all() -> set[str]:
    return set().union(*ASKS.values())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"tasks": [KAPLAN_MEIER | {"colour": 1}]}, r"^tasks\[0\]\.colour is unknown"),
        ({"colour": 1}, r"^colour is unknown"),
        (
            {"tasks": [KAPLAN_MEIER, without(LOGISTIC, "numbers", 0, "high")]},
            r"^tasks\[1\]\.numbers\[0\]\.high is missing",
        ),
        ({"tasks": [KAPLAN_MEIER, KAPLAN_MEIER]}, r"^tasks\[1\]\.name: tasks\[0\] is called curve"),
        ({"tasks": [KAPLAN_MEIER | {"minimum_persons": 1}]}, r"^tasks\[0\]\.minimum_persons: the plan sets this once"),
        ({"tasks": [KAPLAN_MEIER | {"row_limit": 9}]}, r"^tasks\[0\]\.row_limit: the plan sets this once"),
        ({"tasks": [KAPLAN_MEIER | {"dataset": "x"}]}, r"^tasks\[0\]\.dataset: the plan sets this once"),
        ({"tasks": [KAPLAN_MEIER | {"analysis": "magic"}]}, r"^tasks\[0\]\.analysis: 'magic' is unknown"),
        ({"tasks": [without(KAPLAN_MEIER, "name")]}, r"^tasks\[0\]\.name is missing"),
        ({"tasks": [KAPLAN_MEIER | {"releases": 0}]}, r"^tasks\[0\]\.releases must be at least 1"),
        ({"tasks": []}, r"^tasks must have at least 1 entries"),
        ({"tasks": "none"}, r"^tasks: a plan must have tasks"),
        ({"minimum_persons": 0}, r"^minimum_persons must be at least 1"),
        ({"data": "melting"}, r"^data must be 'frozen' or 'growing'"),
    ],
)
def test_a_mistake_is_named_with_its_place(changes: dict[str, Any], complaint: str) -> None:
    document = {"minimum_persons": 5, "row_limit": 1000, "tasks": [KAPLAN_MEIER]} | changes
    with pytest.raises(PlanError, match=complaint):
        read_plan(document, "lung")


def test_a_plan_that_names_a_file_is_refused_before_the_file_is_looked_at(tmp_path: Path) -> None:
    """Whoever reads it: the file would be that machine's."""
    secret = tmp_path / "model.json"
    secret.write_text("no model")
    task = {
        "name": "training",
        "analysis": "federated-training",
        "formula": "status ~ age",
        "numbers": LOGISTIC["numbers"],
        "trainer": "logistic-regression",
        "settings": {"rate": 0.1, "epochs": 1},
        "rounds": 1,
        "start": {"kind": "file", "path": str(secret)},
    }
    with pytest.raises(PlanError, match=r"^tasks\[0\]\.start: a plan must hold the weights themselves"):
        read_plan({"minimum_persons": 5, "row_limit": 1000, "tasks": [task]}, "lung")
    document = json.loads(UNPLANNED.encode()) | {
        "plan": {
            "tasks": [{"name": "training", "releases": 1, "specification": without(task, "name")}],
            "minimum_persons": 5,
            "row_limit": 1000,
            "data": "frozen",
        }
    }
    with pytest.raises(TermsError, match="rather than name a file"):
        ProjectTerms.decode(json.dumps(document).encode())


def test_a_specification_that_leaves_something_to_a_default_is_refused() -> None:
    document = json.loads(planned(KAPLAN_MEIER).encode())
    del document["plan"]["tasks"][0]["specification"]["filter"]
    with pytest.raises(TermsError, match=r"tasks\[0\]: the specification is not complete"):
        ProjectTerms.decode(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        ({"columns": ("age", "status")}, r"^tasks\[0\]: the terms do not include the columns time"),
        ({"statistics": ("moments",)}, r"^tasks\[0\]: the terms do not include the statistics event-counts"),
    ],
)
def test_a_task_that_cannot_follow_is_named(missing: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        check(planned(KAPLAN_MEIER, **missing))


def test_a_task_that_cannot_begin_is_named() -> None:
    with pytest.raises(PlanError, match=r"tasks\[0\]: .*weight"):
        check(planned(LOGISTIC | {"formula": "status ~ weight"}))


def test_a_file_has_plan_and_terms_in_one(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        'purpose = "p"\ndataset = "lung"\nminimum_persons = 5\nrow_limit = 1000\n'
        '[[tasks]]\nname = "curve"\nanalysis = "kaplan-meier"\ntime = "time"\nevent = "status"\n'
        "grid = {width = 70, count = 10}\n"
    )
    terms = read_terms(path)
    assert terms == planned(KAPLAN_MEIER, purpose="p")
    [(_, spec)] = terms.plan.specs("lung")
    query = first_query(spec, 53)
    assert (query.query.minimum_persons, query.params.row_limit) == (5, 1000)
