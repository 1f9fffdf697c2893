"""The file of a run: one analysis, or several as `[[task]]`, and optionally the project to run them in."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from participant.analyses.base.errors import SpecError
from participant.analyses.base.spec import TableSpec
from participant.analyses.catalogue import parse_spec


@dataclass(frozen=True, slots=True)
class RunFile:
    """A run file's content; `project` is a name or ID, or None if the file names none."""

    tasks: tuple[TableSpec, ...]
    project: str | None = None


def read_run_file(path: Path) -> RunFile:
    """Read a TOML or JSON file.

    Raises:
        SpecError: the file is neither TOML nor JSON, or a task is missing or invalid; the message says where.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise SpecError(f"{path} does not contain a table")
    project = document.pop("project", None)
    if not isinstance(project, str | None):
        raise SpecError(f"{path}: project must be a name or an ID in quotation marks")
    tasks = document.get("task", [document] if document else [])
    if not isinstance(tasks, list) or not tasks or (len(document) > 1 and "task" in document):
        raise SpecError(f"{path} must contain one analysis, or several as [[task]]")
    return RunFile(tuple(_spec(path, place, task) for place, task in enumerate(tasks, start=1)), project)


def _spec(path: Path, place: int, task: object) -> TableSpec:
    where = f"{path}, task {place}"
    if not isinstance(task, dict):
        raise SpecError(f"{where} is not a table")
    try:
        return parse_spec(task)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None
