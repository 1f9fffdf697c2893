"""Results as text for people and as plain values for machines."""

import base64
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any
from uuid import UUID

import numpy as np

from coordinator.runs.lifecycle import HeldBySites, RunOutcome
from participant.analyses.base.result import AnalysisResult


def as_facts(run: UUID, report: RunOutcome) -> dict[str, Any]:
    """Return a run's outcome as JSON values: results, bytes, and every query with its round and sites."""
    return {
        "run": str(run),
        "results": [_result(result) for result in report.results],
        "rounds": [
            {
                "round": answer.round,
                "query": base64.b64encode(asked.encode()).decode(),
                "statistic": asked.query.statistic,
                "numbers": asked.layout.length,
                "ring_bits": answer.ring_bits,
                "sites": list(answer.survivors),
            }
            for asked, answer in report.answers
        ],
        "bytes_per_site": report.bytes_heard,
    }


def as_words(report: RunOutcome) -> str:
    """Return the results as tables for a terminal."""
    return "\n\n".join(words_of(result) for result in report.results)


def _result(result: AnalysisResult | HeldBySites) -> dict[str, Any]:
    if isinstance(result, HeldBySites):
        return {"analysis": result.analysis, "held_by": list(result.sites), "round": result.round}
    return {"analysis": result.analysis, **_plain(result)}


def words_of(result: AnalysisResult | HeldBySites) -> str:
    """Return a result as text for a terminal, or say which sites hold it."""
    if isinstance(result, HeldBySites):
        return (
            f"{result.analysis}: the sites hold the result of round {result.round}: {', '.join(result.sites)}\n"
            "show it at a site with: secagg-participant results"
        )
    return result.summary()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if hasattr(value, "_asdict"):  # a named tuple
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
