"""Analyses and statistics, from their modules: docstrings, the members of specifications, the attributes of results."""

import re
from importlib import import_module
from itertools import chain
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from generated.markdown import code, one_line, table
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.spec import TableSpec
from participant.analyses.catalogue import ANALYSES
from participant.statistics.evaluation.registry import STATISTICS

ANALYSES_INTRO = """\
# Analyses

An analyst asks for an analysis by its name, in a TOML table with the members listed here.
[The coordinator's page](../../../coordinator/README.md#a-run) has examples, and says which statistics each one needs.
"""
STATISTICS_INTRO = """\
# Statistics

A statistic is what a site can be asked for: it turns the rows into a vector of numbers with proven bounds, which leaves
the site masked. A project's terms name the statistics that may be asked for, and so does every site's policy.
"""
SECTION = re.compile(r"^ *Attributes:\n((?: {4,}.*\n?|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^    (\w+(?:, \w+)*): (.+(?:\n {8}.+)*)", re.MULTILINE)


def analyses() -> str:
    """Return the page of all analyses."""
    common = [
        "## Members of every specification",
        "",
        *_members(TableSpec, skip=set()),
    ]
    return "\n".join([ANALYSES_INTRO, *common, *chain.from_iterable(map(_analysis, sorted(ANALYSES)))])


def statistics() -> str:
    """Return the page of the vocabulary."""
    return "\n".join([STATISTICS_INTRO, *chain.from_iterable(map(_statistic, sorted(STATISTICS)))])


def _analysis(name: str) -> list[str]:
    spec = ANALYSES[name]
    module = import_module(spec.__module__)
    results = [one for one in vars(module).values() if _is_result_of(one, name)]
    return [
        *_described(name, module),
        "**Members of the specification**",
        "",
        *_members(spec, skip=set(TableSpec.model_fields)),
        *chain.from_iterable(_attributes_of_result(result) for result in results),
    ]


def _is_result_of(found: Any, name: str) -> bool:
    return isinstance(found, type) and issubclass(found, AnalysisResult) and vars(found).get("analysis") == name


def _attributes_of_result(result: type) -> list[str]:
    rows = [(code(name), text) for name, text in attributes(result).items()]
    return ["**Attributes of the result**", "", *table(("attribute", "meaning"), rows)]


def _statistic(name: str) -> list[str]:
    statistic = type(STATISTICS[name])
    blocks = one_line(statistic.__doc__)
    members = _members(STATISTICS[name].Params, skip={"row_limit"})
    return [*_described(name, import_module(statistic.__module__)), blocks, "", *members]


def _described(name: str, module: Any) -> list[str]:
    """Return a heading and a module's docstring, whose indented formulas and examples Markdown shows as code."""
    return [f"## {name}", "", module.__doc__.strip(), ""]


def _members(model: type[BaseModel], skip: set[str]) -> list[str]:
    said = attributes(model)
    rows = [
        (code(name), _default(info), said.get(name, ""))
        for name, info in model.model_fields.items()
        if name not in skip
    ]
    return table(("member", "default", "meaning"), rows)


def _default(info: Any) -> str:
    if info.default is PydanticUndefined:
        return "required" if info.is_required() else ""
    return code("none" if info.default is None else info.default if info.default != () else "[]")


def attributes(kind: type) -> dict[str, str]:
    """Return what the docstrings of a class and of those that it is derived from say of its attributes, by name."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        section = SECTION.search((vars(one).get("__doc__") or "").replace("\n    ", "\n"))
        for names, text in ENTRY.findall(section[1] if section else ""):
            found |= dict.fromkeys(names.split(", "), one_line(text))
    return found
