"""A case: an analysis over the sites of a data set, compared with a trusted library on all their rows in one table.

    @case(LUNG, ROSSI)
    async def cox(spec: CoxSpec, sites: Sites) -> list[Agreement]:
        result = await spec.analyse(sites)
        expected = pooled_cox(sites.pooled(), spec)
        return [coefficients(result.coef, expected.coef), p_values(result.p, expected.p)]

A family of analyses needs no more than this, in a module of its own in `cases`. The decorator takes one specification
per data set, whose name is the specification's `dataset` (`data` has the tables). The function's name distinguishes
variants of one analysis.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pandas as pd

import tests.oracles.cases
from coordinator.demo.pooled import pooled
from participant.analyses.base.spec import TableSpec
from participant.statistics.language.conditions import meets
from participant.statistics.language.layout import Array
from participant.statistics.language.statistic import Columns
from tests.oracles.data import sites_of
from tests.support.plain_sum import PlainSum

COEFFICIENT = 1e-6  # relative
P_VALUE = 1e-5  # absolute


class Sites(PlainSum):
    """The sites of a data set, summed in fixed point as a round does; in the middle of its rounds some may be lost."""

    def __init__(self, dataset: str, count: int, *, lost: Sequence[set[str]] = ()) -> None:
        super().__init__(sites_of(dataset, count), quantised=True, lost=lost)

    def pooled(self) -> Columns:
        """Return all rows of the sites that are left, as one table."""
        return pooled(self.tables.values())

    def rows(self, spec: TableSpec, *columns: str) -> pd.DataFrame:
        """Return those rows that meet the filter and are complete in these columns."""
        table = self.pooled()
        kept = np.logical_and.reduce([np.ones(len(table[columns[0]]), bool), *(meets(c, table) for c in spec.filter)])
        return pd.DataFrame({name: table[name] for name in columns})[kept].dropna().reset_index(drop=True)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a result is from its oracle, and may be.

    Attributes:
        quantity: what is compared.
        difference: the largest one; infinite where one of the two has no number.
        bound: the most that is allowed.
        reason: why the bound is wider than that of a deterministic estimator; empty where it is not.
    """

    quantity: str
    difference: float
    bound: float
    reason: str = ""


def coefficients(ours: Any, theirs: Any, quantity: str = "coefficients") -> Agreement:
    """Compare estimates: the largest difference, relative to each."""
    return Agreement(quantity, _largest(ours, theirs, relative=True), COEFFICIENT)


def p_values(ours: Any, theirs: Any, quantity: str = "p-values") -> Agreement:
    """Compare p-values, or other probabilities."""
    return Agreement(quantity, _largest(ours, theirs, relative=False), P_VALUE)


def within(bound: float, reason: str, ours: Any, theirs: Any, quantity: str, *, relative: bool = False) -> Agreement:
    """Compare what is no deterministic estimator: `reason` says where the bound comes from."""
    return Agreement(quantity, _largest(ours, theirs, relative=relative), bound, reason)


def _largest(ours: Any, theirs: Any, *, relative: bool) -> float:
    mine, oracle = np.atleast_1d(np.asarray(ours, np.float64)), np.atleast_1d(np.asarray(theirs, np.float64))
    if mine.shape != oracle.shape or not mine.size or (np.isfinite(mine) != np.isfinite(oracle)).any():
        return float("inf")
    both = np.isfinite(mine)
    if (mine[~both] != oracle[~both])[~np.isnan(mine[~both])].any():
        return float("inf")
    off: Array = np.abs(mine[both] - oracle[both])
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.where(off > 0, off / np.abs(oracle[both]), 0.0) if relative else off
    return float(off.max(initial=0.0))


Compare = Callable[[Any, Sites], Awaitable[list[Agreement]]]


@dataclass(frozen=True, slots=True)
class Case:
    """A function that compares, and the specification of one data set."""

    name: str
    compare: Compare
    spec: TableSpec

    @property
    def id(self) -> str:
        return f"{self.name}-{self.spec.dataset}"

    async def run(self, count: int, dropped: int = 0) -> list[Agreement]:
        """Compare over so many sites, of which some are lost in the middle of the analysis."""
        lost: list[set[str]] = []
        if dropped:
            whole = Sites(self.spec.dataset, count)
            await self.spec.analyse(whole)
            gone = {f"site-{number}" for number in range(1, dropped + 1)}
            lost = [set()] * (len(whole.queries) // 2) + [gone]
        sites = Sites(self.spec.dataset, count, lost=lost)
        agreements = await self.compare(self.spec, sites)
        if len(sites.tables) != count - dropped:
            raise AssertionError(f"{self.id}: {len(sites.tables)} sites are left of {count}, not {count - dropped}")
        return agreements


_cases: list[Case] = []


def case(*specs: TableSpec) -> Callable[[Compare], Compare]:
    """Register a function that compares, for each of these specifications."""

    def register(compare: Compare) -> Compare:
        _cases.extend(Case(compare.__name__.replace("_", "-"), compare, spec) for spec in specs)
        return compare

    return register


def all_cases() -> list[Case]:
    """Return the cases of all families, by name."""
    for module in iter_modules(tests.oracles.cases.__path__):
        import_module(f"tests.oracles.cases.{module.name}")
    return sorted(_cases, key=lambda one: one.id)
