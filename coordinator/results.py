"""Results in words for people and as plain values for machines."""

import base64
import math
from dataclasses import fields, is_dataclass
from typing import Any
from uuid import UUID

import numpy as np

from coordinator.analyses import CoxResult, GlmResult, KaplanMeierResult, Result
from coordinator.runs import Held, Report
from participant.statistics import layout_of


def as_facts(run: UUID, report: Report) -> dict[str, Any]:
    """Return a run's report as JSON can hold it: results, bytes, and every query with its round and sites."""
    return {
        "run": str(run),
        "results": [_result(result) for result in report.results],
        "rounds": [
            {
                "round": answer.round,
                "query": base64.b64encode(query.encode()).decode(),
                "statistic": query.statistic,
                "numbers": layout_of(query).length,
                "ring_bits": answer.ring_bits,
                "sites": list(answer.survivors),
            }
            for query, answer in report.answers
        ],
        "bytes_per_site": report.bytes_heard,
    }


def as_words(report: Report) -> str:
    """Return the results as tables for a terminal."""
    return "\n\n".join(_words(result) for result in report.results)


def _result(result: Result | Held) -> dict[str, Any]:
    if isinstance(result, Held):
        return {"analysis": result.analysis, "held_by": list(result.sites), "round": result.round}
    return {"analysis": _name(result), **_plain(result)}


def _words(result: Result | Held) -> str:
    if isinstance(result, Held):
        return (
            f"{result.analysis}: the sites hold the result of round {result.round}: {', '.join(result.sites)}\n"
            "each shows it with: secagg-participant results"
        )
    if isinstance(result, CoxResult):
        return _cox(result)
    return _glm(result) if isinstance(result, GlmResult) else _kaplan_meier(result)


def _name(result: Result) -> str:
    if isinstance(result, CoxResult):
        return "cox"
    return "glm" if isinstance(result, GlmResult) else "kaplan-meier"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _cox(result: CoxResult) -> str:
    head = (
        f"Cox regression (Efron ties): {result.rows} patients, {result.events} events, {len(result.sites)} sites\n"
        f"{'':<12}{'coef':>11}{'exp(coef)':>11}{'se':>10}{'z':>8}{'p':>10}   95 % CI of exp(coef)"
    )
    rows = [
        f"{row['name']:<12}{row['coef']:>11.6f}{row['hazard_ratio']:>11.4f}{row['se']:>10.6f}{row['z']:>8.3f}"
        f"{row['p']:>10.2g}   {row['lower']:.4f} to {row['upper']:.4f}"
        for row in result.table()
    ]
    tail = (
        f"likelihood ratio {result.likelihood_ratio:.3f} on {len(result.names)} degrees of freedom, "
        f"p = {result.likelihood_ratio_p:.2g}"
    )
    return "\n".join([head, *rows, tail, *(f"warning: {text}" for text in result.warnings)])


def _glm(result: GlmResult) -> str:
    width = max(len(name) for name in result.names) + 2
    head = (
        f"Generalised linear model ({result.family}): {result.rows} rows, {len(result.sites)} sites\n"
        f"{'':<{width}}{'coef':>12}{'se':>11}{'statistic':>11}{'p':>10}   95 % CI"
    )
    rows = [
        f"{row['name']:<{width}}{row['coef']:>12.6g}{row['se']:>11.4g}{row['statistic']:>11.3f}{row['p']:>10.2g}"
        f"   {row['lower']:.5g} to {row['upper']:.5g}"
        for row in result.table()
    ]
    tail = (
        f"deviance {result.deviance:.6g} on {result.df:g} degrees of freedom, dispersion {result.dispersion:.4g}, "
        f"AIC {result.aic:.2f}, BIC {result.bic:.2f}"
    )
    return "\n".join([head, *rows, tail, *(f"warning: {text}" for text in result.warnings)])


def _kaplan_meier(result: KaplanMeierResult) -> str:
    median = "not reached" if result.median is None else f"{result.median:g} {result.time_unit}"
    head = f"Kaplan-Meier: {result.rows} patients, {result.events.sum():.0f} events, {len(result.sites)} sites"
    return "\n".join([head, f"median survival {median}", *(f"warning: {text}" for text in result.warnings)])
