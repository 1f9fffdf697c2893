"""The worked examples in the modules of the analyses: each runs over the nine institutions of the lung trial."""

import json
import pkgutil
import re
import tomllib
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest

import coordinator.analyses
from coordinator.analyses import parse_spec
from coordinator.lung import lung_by_institution
from coordinator.results import as_facts
from coordinator.runs import Report
from tests.support.plain_sum import PlainSum

EXAMPLES = [
    tomllib.loads(block)
    for module in pkgutil.iter_modules(coordinator.analyses.__path__)
    for block in re.findall(r"\n\n((?:    .+\n)+)", import_module(f"coordinator.analyses.{module.name}").__doc__ or "")
    if block.startswith("    analysis = ")
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one["analysis"])
async def test_an_example_runs(example: dict[str, Any]) -> None:
    spec = parse_spec(example)
    result = await spec.analyse(PlainSum(lung_by_institution(), quantised=True))
    assert result.table()
    assert "nan" not in result.summary().replace("covariance", "")
    assert len(result.sites) == 9
    assert "<td" in result._repr_html_()
    (facts,) = as_facts(UUID(int=1), Report((result,), (), {}))["results"]
    assert json.loads(json.dumps(facts, allow_nan=False))["sites"] == list(result.sites)
