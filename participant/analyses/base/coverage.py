"""Whom a result covers: persons in its sums of those asked for, and what is not shown if too many are missing.

A site that hides its sums takes its persons out of a result, and not at random: it is the site with few women, or few
without the disease. A narrow interval around a wrong number is worse than none, so a result from which more than the
specification's `missing_share` is missing keeps its estimates, marked as those of the persons in the sums, and loses
its tests, intervals, areas and curves.

The rule goes by the names of a result's fields, of those inside it as well, and so holds for every analysis.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from participant.analyses.base.result import AnalysisResult, Coverage
from participant.analyses.base.secure_sum import SecureSum, Sum, SumAround
from participant.analyses.base.spec import TableSpec
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.suppression import ANSWERED, ASKED

R = TypeVar("R", bound=AnalysisResult)

_TESTS = r"p|se|sd_error|statistic|z|f|g|t|covariance|lower|upper|likelihood_ratio|hosmer_lemeshow|poisson_ratio|score"
_CURVES = r"auc|superiority|survival|sensitivity|specificity|median"
_SHOWN_OF_ENOUGH = re.compile(rf"(.+_)?({_TESTS}|{_CURVES})")
_SHOWN_OF_ALL = re.compile(r"(.+_)?bounds")  # they hold for everybody, or are not bounds


class Covering(SumAround):
    """A secure sum that keeps account of whom its answers cover.

    Args:
        secure_sum: the sum to ask.
        spec: analysis that asks.
        sites: number of sites that the run began with.
    """

    def __init__(self, secure_sum: SecureSum, spec: TableSpec, sites: int) -> None:
        super().__init__(secure_sum)
        self._beside = spec.beside
        self._allowed = spec.missing_share
        self._of_sites = sites
        self._found: list[Coverage] = []

    async def __call__(self, query: BoundQuery) -> Sum:
        answer = await self._secure_sum(query)
        if query.statistic.name in self._beside:
            return answer
        asked, persons = (_count(answer.values, lane) for lane in (ASKED, ANSWERED))
        found = Coverage(persons=persons, of_persons=asked, sites=len(answer.sites), of_sites=self._of_sites)
        self._found.append(found)
        return answer

    def disregard(self) -> None:
        del self._found[-1:]
        super().disregard()

    def judged(self, result: R) -> R:
        """Return a result with its coverage, and without what too many missing persons forbid to show."""
        if not self._found:
            return result
        least = max(self._found, key=lambda coverage: coverage.missing_share)
        covered = replace(least, sites=len(result.sites), allowed=self._allowed)
        found: R = replace(result, coverage=covered)
        if covered.missing_share:
            found = _without(_SHOWN_OF_ALL, found)
        if not covered.is_enough:
            found = replace(_without(_SHOWN_OF_ENOUGH, found), warnings=(covered.sentence(), *result.warnings))
        return found


def _count(values: Mapping[str, Any], lane: str) -> int | None:
    return round(float(values[lane])) if lane in values else None


def _without(names: re.Pattern[str], value: Any) -> Any:
    """Return a result, or a part of one, with NaN in the fields of these names."""
    if hasattr(value, "_asdict"):  # a named tuple
        return value._replace(**{name: _blank(names, name, item) for name, item in value._asdict().items()})
    if is_dataclass(value) and not isinstance(value, type):
        given = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **{name: _blank(names, name, item) for name, item in given.items()})
    if isinstance(value, tuple):
        return tuple(_without(names, item) for item in value)
    return value


def _blank(names: re.Pattern[str], name: str, value: Any) -> Any:
    if not names.fullmatch(name):
        return _without(names, value)
    if isinstance(value, np.ndarray):
        return np.full(value.shape, np.nan)
    if isinstance(value, tuple) and all(isinstance(item, float) for item in value):
        return (np.nan,) * len(value)
    return np.nan if value is None or isinstance(value, (int, float)) else _without(names, value)
