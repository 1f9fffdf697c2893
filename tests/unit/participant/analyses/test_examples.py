"""The worked examples in the analyses' modules: each runs over the nine institutions of the lung trial."""

import json
import pkgutil
import re
import tomllib
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import coordinator
from coordinator.demo.lung import lung_by_institution
from coordinator.report.text import as_facts
from coordinator.runs.lifecycle import RunOutcome
from participant import analyses
from participant.analyses.base.errors import AnalysisError
from participant.analyses.base.secure_sum import Sum
from participant.analyses.catalogue import ANALYSES, parse_spec
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.registry import STATISTICS
from participant.statistics.language.inner import names_in
from tests.support.plain_sum import PlainSum

EXAMPLES = [
    tomllib.loads(block)
    for module in pkgutil.walk_packages(analyses.__path__, "participant.analyses.")
    for block in re.findall(r"\n\n((?:    .+\n)+)", import_module(module.name).__doc__ or "")
    if block.startswith("    analysis = ")
]


README = Path(coordinator.__file__).parent.joinpath("README.md").read_text()
NAMED = {
    analysis: set(re.findall(r"`([a-z-]+)`", statistics))
    for analyses, statistics in re.findall(r"^\| (`.+) \| (.+) \|$", README, re.MULTILINE)
    for analysis in re.findall(r"`([a-z-]+)`", analyses)
}
"""Statistics that the README tells to name in the terms, for each analysis."""


def beside_the_readme(example: dict[str, Any], sites: PlainSum) -> set[str]:
    """Return the statistics that were asked for and that the README does not name."""
    model = example.get("model", {}).get("analysis")
    asked = {name for query in sites.queries for name in names_in(query)}
    return asked - NAMED[example["analysis"]] - NAMED.get(model, set())


def test_the_readme_names_statistics_for_every_analysis() -> None:
    assert NAMED.keys() == ANALYSES.keys()
    assert set().union(*NAMED.values()) <= STATISTICS.keys()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one["analysis"])
async def test_an_example_runs(example: dict[str, Any]) -> None:
    spec = parse_spec(example)
    sites = PlainSum(lung_by_institution(), quantised=True)
    result = await spec.analyse(sites)
    assert beside_the_readme(example, sites) == set()
    assert result.table()
    assert "nan" not in result.summary().replace("covariance", "")
    assert len(result.sites) == 9
    assert "<td" in result._repr_html_()
    (facts,) = as_facts(UUID(int=1), RunOutcome((result,), (), {}))["results"]
    assert json.loads(json.dumps(facts, allow_nan=False))["sites"] == list(result.sites)


class Beginning(PlainSum):
    """The first twenty rounds of an analysis."""

    async def __call__(self, query: BoundQuery) -> Sum:
        if len(self.queries) == 20:
            raise AnalysisError("these are the first twenty rounds")
        return await super().__call__(query)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one["analysis"])
async def test_an_example_of_few_bits_asks_for_what_the_readme_names(example: dict[str, Any]) -> None:
    """The sums are too coarse, so ranges are asked for; often they are too coarse for a result as well."""
    sites = Beginning(lung_by_institution(), quantised=True)
    with suppress(AnalysisError):
        await parse_spec(example | {"value_bits": 14}).analyse(sites)
    assert sites.queries
    assert beside_the_readme(example, sites) == set()
