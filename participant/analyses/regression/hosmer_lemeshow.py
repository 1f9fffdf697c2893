"""Hosmer and Lemeshow's test: do predicted risks agree with the events, from low to high risk?

The rows are sorted by predicted risk and divided at its quantiles into G groups of about equal size. With n rows, o
events and e the sum of predicted risks in a group:

    statistic = sum of (o - e)^2 / (e (1 - e / n))          chi-square, with G - 2 degrees of freedom

The quantiles are those of `quantiles`, on a grid of 0.0001; rows of equal risk stay together, so there may be fewer
groups than requested. One round of `histogram` by the outcome then counts the groups and sums their risks.
If the sites' floor hides a group, there is no test.

Sources: Hosmer, Lemeshow 1980, Commun Stat A 9:1043; Hosmer, Lemeshow, Sturdivant 2013, "Applied Logistic Regression",
section 5.2.2.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.sums.quantiles import find_quantiles
from participant.statistics.evaluation.registry import HISTOGRAM
from participant.statistics.models.design import Category, Numeric
from participant.statistics.models.special import chdtrc
from participant.statistics.vocabulary.histogram import HistogramParams, Predicted

GRID = 1e-4  # grid width of predicted risks
FEW = 5.0  # expected events or non-events below which a group is small


class RiskGroup(NamedTuple):
    """Rows with a predicted risk above `low` and up to `high`: their number, events and expected events."""

    low: float
    high: float
    rows: int
    events: int
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HosmerLemeshow:
    """The test; without one, `statistic` and `p` are None and `groups` is empty.

    Attributes:
        statistic, df, p: test statistic, degrees of freedom, p-value.
        groups: groups by predicted risk.
        sites: names of the contributing sites.
        warnings: why there is no test, or why it is approximate.
    """

    statistic: float | None
    df: int
    p: float | None
    groups: tuple[RiskGroup, ...]
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    @classmethod
    def without(cls, sites: tuple[str, ...], reason: str) -> "HosmerLemeshow":
        """Return the outcome of a test that cannot be made."""
        text = f"no Hosmer-Lemeshow test: {reason}; ask for fewer `groups`, or leave them out"
        return cls(statistic=None, df=0, p=None, groups=(), sites=sites, warnings=(text,))


async def hosmer_lemeshow(
    spec: TableSpec, secure_sum: SecureSum, risk: Predicted, outcome: Numeric, groups: int
) -> HosmerLemeshow:
    """Test the predicted risks `risk`, from 0 to 1, against the outcome.

    Raises:
        NoRowsError: across all sites, no row meets the filter and has all values.
    """
    shares = [(i + 1) / groups for i in range(groups - 1)]
    found = await find_quantiles(spec, secure_sum, risk, shares, GRID)
    if not found.known.all():
        return HosmerLemeshow.without(found.sites, "the sites hide small groups by risk")
    edges = sorted({round(value / GRID) for value in found.values.tolist()})
    params = HistogramParams(
        quantity=risk,
        by=(Category(column=outcome.column, levels=(0.0, 1.0)),),
        origin=0.0,
        width=GRID,
        edges=tuple(edges),
        sums=True,
        row_limit=spec.row_limit,
    )
    answer = await secure_sum(spec.ask(HISTOGRAM, params, secure_sum.value_bits))
    counts, sums = answer.values["counts"], answer.values["sums"].sum(axis=0)
    if spec.warn_of_withheld(answer.values):
        return HosmerLemeshow.without(answer.sites, "the sites hide small groups by risk and outcome")
    if counts[-1].any():
        return HosmerLemeshow.without(answer.sites, f"{outcome.column} has values other than 0 and 1")
    filled = counts.any(axis=0)
    rows, events, expected = counts.sum(axis=0)[filled], counts[1][filled], sums[filled]
    if len(rows) < 3:
        return HosmerLemeshow.without(answer.sites, "fewer than three groups differ in risk")
    ends = np.array([0, *edges, round(1 / GRID)]) * GRID
    statistic = float(((events - expected) ** 2 / (expected * (1 - expected / rows))).sum())
    small = int((np.minimum(expected, rows - expected) < FEW).sum())
    return HosmerLemeshow(
        statistic=statistic,
        df=len(rows) - 2,
        p=float(chdtrc(len(rows) - 2, statistic)),
        groups=tuple(
            RiskGroup(float(low), float(high), round(float(n)), round(float(o)), float(e))
            for low, high, n, o, e in zip(ends[:-1][filled], ends[1:][filled], rows, events, expected, strict=True)
        ),
        sites=answer.sites,
        warnings=(f"Hosmer and Lemeshow's test: {small} of {len(rows)} groups have fewer than 5 expected",)
        if small
        else (),
    )
