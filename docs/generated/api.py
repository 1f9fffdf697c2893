"""Which names of the API have a place on the site; mkdocstrings writes what their docstrings say."""

import re
from collections.abc import Iterable
from pathlib import Path

CORE = Path(__file__).parents[2] / "secagg" / "README.md"
ROW = re.compile(r"^\| `(secagg[.\w]+)` \| (.+?) \|$", re.MULTILINE)
NOTEBOOKS = (
    "coordinator.notebook.connect.connect",
    "coordinator.notebook.connect.connect_async",
    "coordinator.notebook.connect.AnalystSession",
    "coordinator.notebook.connect.ProjectHandle",
    "coordinator.report.run.RunReport",
    "participant.analyses.base.result.AnalysisResult",
    "coordinator.report.plots.plot",
    "coordinator.report.page.export",
)


def core() -> str:
    """Return the page of what secagg/README.md calls stable."""
    lines = [
        "# The core",
        "",
        "The names that [the core's page](../../../secagg/README.md#what-is-stable) calls stable.",
        "",
    ]
    stable = CORE.read_text(encoding="utf-8").partition("## What is stable")[2]
    for module, names in ROW.findall(stable):
        members = re.findall(r"`(\w+)`", names)
        lines += [f"## {module}", "", *_documented([f"{module}.{name}" for name in members] or [module])]
    return "\n".join(lines)


def notebooks() -> str:
    """Return the page of what analysts use in notebooks and programs."""
    return "\n".join(
        [
            "# Notebooks",
            "",
            "What `from coordinator import ...` offers, and what it returns.",
            "",
            *_documented(NOTEBOOKS),
        ]
    )


def _documented(names: Iterable[str]) -> list[str]:
    return [f"::: {name}\n" for name in names]
