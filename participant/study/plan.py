"""The plan of a project: its analyses, completely specified before the first answer.

It is part of the terms, so the roster's words cover it. The plan states once what all tasks share, such as the floor
and the row limit. A site answers a question of such a project only if the plan implies it (`participant.study.replay`).

People write it in one file with the other members of the terms (read by `coordinator.projects.projects`):

    minimum_persons = 5
    row_limit = 2000
    data = "frozen"

    [[tasks]]
    name = "survival"
    analysis = "kaplan-meier"
    time = "time"
    ...
"""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import BaseModel, Field, JsonValue, ValidationError, model_validator

from participant.analyses.base.spec import MISSING_SHARE, TableSpec
from participant.analyses.catalogue import ANALYSES
from participant.statistics.language.conditions import NAME_PATTERN, Strict
from participant.statistics.language.query import MAX_PERSONS, canonical
from participant.statistics.language.statistic import MAX_ROWS
from secagg import complaints
from secagg.errors import ParameterError

MAX_TASKS = 64
MAX_RELEASES = 1000
SAID_ONCE = ("dataset", "minimum_persons", "row_limit", "missing", "missing_share")
"""Members of a specification that the plan or the terms set for all tasks."""
_OF_PLAN = ("minimum_persons", "row_limit", "missing_share")


M = TypeVar("M", bound=Strict)


class PlanError(ParameterError):
    """A plan is malformed; the message begins with the place, such as `tasks[2].covariates[0].high`."""


class NamedSpec(NamedTuple):
    """A task's name and its complete specification."""

    name: str
    spec: TableSpec


class Task(Strict):
    """An analysis under a name.

    Attributes:
        name: name shown to people and kept in the ledger.
        releases: maximum number of starts; each repetition counts.
        specification: specification of the analysis, without the members that the plan sets for all tasks.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    releases: int = Field(default=3, ge=1, le=MAX_RELEASES)
    specification: dict[str, JsonValue]


class Plan(Strict):
    """A project's analyses and their common settings.

    Attributes:
        tasks: analyses of the project, in order.
        minimum_persons: floor of every question: minimum number of persons for a site's numbers and for each cell.
        row_limit: maximum number of rows of a site's dataset.
        data: `frozen`: all answers use the version of the dataset that the first one used; `growing`: each uses
            the newest.
        missing_share: share of the persons that may be missing from a result, at sites that hid their sums, before it
            has no tests, intervals, areas and curves.
    """

    tasks: Annotated[tuple[Task, ...], Field(min_length=1, max_length=MAX_TASKS)]
    minimum_persons: int = Field(ge=1, le=MAX_PERSONS)
    row_limit: int = Field(ge=1, le=MAX_ROWS)
    data: Literal["frozen", "growing"] = "frozen"
    missing_share: float = Field(default=MISSING_SHARE, ge=0, le=1)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        seen: dict[str, int] = {}
        for place, task in enumerate(self.tasks):
            if task.name in seen:
                raise PlanError(f"tasks[{place}].name: tasks[{seen[task.name]}] is called {task.name} as well")
            seen[task.name] = place
        return self

    def specs(self, dataset: str) -> tuple[NamedSpec, ...]:
        """Return the complete specification of each task, in order.

        Raises:
            PlanError: a specification is invalid; the message says where.
        """
        return tuple(
            NamedSpec(task.name, self._spec(place, task.specification, dataset))
            for place, task in enumerate(self.tasks)
        )

    def check(self, dataset: str) -> None:
        """Check that every specification is in canonical form, so that each meaning has one encoding.

        Raises:
            PlanError: a specification is not in canonical form; the message says where.
        """
        for place, (task, (_, spec)) in enumerate(zip(self.tasks, self.specs(dataset), strict=True)):
            if canonical(_said(spec)) != canonical(task.specification):
                raise PlanError(f"tasks[{place}]: the specification is not complete; give all its members")

    def _spec(self, place: int, specification: Mapping[str, JsonValue], dataset: str) -> TableSpec:
        for name in SAID_ONCE:
            if name in specification:
                raise PlanError(f"tasks[{place}].{name}: the plan sets this once, for all tasks")
        if _names_a_file(specification):
            raise PlanError(f"tasks[{place}].start: a plan must hold the weights themselves rather than name a file")
        shared = {"dataset": dataset} | {name: getattr(self, name) for name in _OF_PLAN}
        return _parsed(f"tasks[{place}]", {**specification, **shared})


def read_plan(document: Mapping[str, Any], dataset: str) -> Plan:
    """Read a plan in the form that people write, with a task's name and releases among its specification's members.

    Raises:
        PlanError: the plan is invalid; the message says where.
    """
    tasks = document.get("tasks")
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise PlanError("tasks: a plan must have tasks, each as [[tasks]]")
    own = {name for name in Task.model_fields if name != "specification"}
    split = [
        {name: task[name] for name in own & task.keys()}
        | {"specification": {name: value for name, value in task.items() if name not in own}}
        for task in tasks
    ]
    plan = _validated(Plan, {**document, "tasks": split}, "")
    whole = [
        {**task.model_dump(), "specification": _said(spec)}
        for task, (_, spec) in zip(plan.tasks, plan.specs(dataset), strict=True)
    ]
    return _validated(Plan, {**document, "tasks": whole}, "")


def _said(spec: TableSpec) -> dict[str, JsonValue]:
    """Return the fields that a task states itself (without those set by the plan), defaults included."""
    return spec.model_dump(mode="json", exclude=set(SAID_ONCE), exclude_none=True)


def _names_a_file(value: JsonValue | Mapping[str, JsonValue]) -> bool:
    # Reading the specification would read the file on whichever machine this runs.
    if isinstance(value, Mapping):
        return value.get("kind") == "file" or any(map(_names_a_file, value.values()))
    return isinstance(value, list) and any(map(_names_a_file, value))


def _parsed(place: str, document: Mapping[str, Any]) -> TableSpec:
    name = document.get("analysis")
    if not isinstance(name, str) or name not in ANALYSES:
        raise PlanError(f"{place}.analysis: {name!r} is unknown; use one of {', '.join(ANALYSES)}")
    return _validated(ANALYSES[name], document, place)


def _validated(model: type[M], document: Mapping[str, Any], place: str) -> M:
    try:
        text = json.dumps(document)  # JSON has TOML's types, and arrays become tuples
    except (TypeError, ValueError) as error:
        raise PlanError(f"{place or 'the plan'}: {error}") from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise PlanError("; ".join(_findings(error, place, model))) from None


def _findings(error: ValidationError, place: str, model: type[BaseModel]) -> Iterable[str]:
    for item in error.errors(include_input=False, include_url=False)[:5]:
        where = place + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"])
        where = ascii(where.removeprefix(".")[:120])[1:-1]
        yield complaints.in_words(where, item, model)
