"""Descriptions of a cohort, compared with pandas and numpy."""

import numpy as np
import pandas as pd

from participant.analyses.descriptive.descriptive import Described, DescriptiveSpec
from participant.analyses.descriptive.histogram import HistogramSpec
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients, within

PLAIN = {"row_limit": 1000, "minimum_persons": 1}
LUNG = DescriptiveSpec(
    dataset="lung",
    numbers=(
        Described(column="age", low=18, high=100, width=1),
        Described(column="meal.cal", low=0, high=5000, width=5),
        Described(column="wt.loss", low=-50, high=100, width=1),
    ),
    categories=(Category(column="ph.ecog", levels=(0, 1, 2, 3)),),
    **PLAIN,
)
CANCER = DescriptiveSpec(
    dataset="breast-cancer",
    numbers=(
        Described(column="mean_radius", low=0, high=40, width=0.01),
        Described(column="mean_smoothness", low=0, high=1, width=1e-4),
    ),
    quantiles=(0.05, 0.5, 0.95),
    **PLAIN,
)


@case(LUNG, CANCER)
async def descriptive(spec: DescriptiveSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    table = sites.pooled()
    found = []
    for number, ours in zip(spec.numbers, result.numbers, strict=True):
        values = pd.Series(table[number.column])
        found.append(
            coefficients(
                [ours.rows, ours.missing, ours.mean, ours.sd, ours.se],
                [values.count(), values.isna().sum(), values.mean(), values.std(), values.sem()],
                f"moments of {number.column}",
            )
        )
        oracle = np.quantile(values.dropna(), spec.quantiles, method="inverted_cdf")
        reason = "rounded up to the grid, exact for values on it"
        width = number.width if number.width and (values.dropna() % 1).any() else 0.0
        found.append(within(width or 0.0, reason, ours.quantiles, oracle, f"quantiles of {number.column}"))
    for category in spec.categories:
        counts = pd.Series(table[category.column]).value_counts()
        oracle = [counts.get(level, 0) for level in category.levels]
        found.append(coefficients([level.rows for level in result.levels], oracle, f"levels of {category.column}"))
    return found


@case(
    HistogramSpec(
        dataset="lung", variable=Variable(column="age", low=18, high=100), origin=18, width=6, bins=10, **PLAIN
    ),
    HistogramSpec(
        dataset="gbsg2",
        variable=Variable(column="tsize", low=0, high=150),
        origin=0,
        width=10,
        bins=8,
        by=Category(column="tgrade", levels=(1, 2, 3)),
        **PLAIN,
    ),
)
async def histogram(spec: HistogramSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    table = sites.pooled()
    values = table[spec.variable.column]
    groups = [table[spec.by.column] == level for level in spec.by.levels] if spec.by else [np.ones(len(values), bool)]
    edges = np.nextafter(result.edges, np.inf)  # numpy's intervals are closed on the left, ours on the right
    edges[0] = result.edges[0]
    counts = [np.histogram(values[group], edges)[0] for group in groups]
    above = [(values[group] > result.edges[-1]).sum() for group in groups]
    share = [np.histogram(values[group], edges)[0] / group.sum() / spec.width for group in groups]
    return [
        coefficients(result.counts, counts, "counts"),
        coefficients(result.above, above, "counts above"),
        coefficients(result.density, share, "densities"),
    ]
