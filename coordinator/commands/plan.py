"""Commands that check a study plan before it is proposed: its validity, its tasks, and what it could disclose."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.commands.options import CoordinatorOptions
from coordinator.projects.projects import read_terms
from participant.study.plan import PlanError
from participant.study.review import code_of, review, tasks_in_words
from relay.service.command import Commands

app = Commands(name="plan", no_args_is_help=True, help="Check study plans before proposing them.")


@app.command("check")
def check(file: Annotated[Path, typer.Argument(help="TOML file with the plan")], common: CoordinatorOptions) -> None:
    """Check a study plan, describe its tasks, and list the findings that sites' officers will read in its review."""
    terms = read_terms(file)
    if terms.plan is None:
        raise PlanError(f"tasks: {file} has none; a plan needs at least one [[tasks]] table")
    tasks, findings = tasks_in_words(terms), review(terms)
    words = [*map(str, tasks), "", *(map(str, findings) if findings else ["the review has no findings"])]
    common.report(
        {
            "code": code_of(terms),
            "tasks": [one.facts() for one in tasks],
            "findings": [one._asdict() for one in findings],
            "columns": list(terms.columns),
            "statistics": list(terms.statistics),
        },
        "\n".join(words),
    )
