"""Characteristics by group: means and spreads by pandas, and differences by their definition on the pooled rows."""

from itertools import combinations

import numpy as np
import pandas as pd

from participant.analyses.descriptive.table_one import TableOneSpec
from participant.statistics.models.design import Category
from participant.statistics.models.variables import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients


@case(
    TableOneSpec(
        dataset="lung",
        row_limit=1000,
        minimum_persons=1,
        by=Category(column="sex", levels=(1, 2)),
        numbers=(Variable(column="age", low=18, high=100), Variable(column="wt.loss", low=-50, high=100)),
        categories=(Category(column="ph.ecog", levels=(0, 1, 2)), Category(column="status", levels=(0, 1))),
    ),
    TableOneSpec(
        dataset="gbsg2",
        row_limit=1000,
        minimum_persons=1,
        by=Category(column="tgrade", levels=(1, 2, 3)),
        numbers=(Variable(column="tsize", low=0, high=150), Variable(column="progrec", low=0, high=3000)),
        categories=(Category(column="horTh", levels=(0, 1)),),
    ),
    TableOneSpec(
        dataset="election",
        row_limit=1000,
        minimum_persons=1,
        by=Category(column="vote", levels=(0, 1)),
        numbers=(Variable(column="age", low=18, high=100),),
        categories=(Category(column="PID", levels=(0, 1, 2, 3, 4, 5, 6)),),
    ),
)
async def table_one(spec: TableOneSpec, sites: Sites) -> list[Agreement]:
    result = await spec.analyse(sites)
    found = []
    for variable in spec.numbers:
        rows = sites.rows(spec, variable.column, spec.by.column)
        groups = [rows[variable.column][rows[spec.by.column] == level] for level in spec.by.levels]
        (line,) = [one for one in result.lines if one.name == variable.column]
        pairs = [
            abs(a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2) for a, b in combinations(groups, 2)
        ]
        found += [
            coefficients(
                [one.mean for one in line.cells], [one.mean() for one in groups], f"means of {variable.column}"
            ),
            coefficients([one.sd for one in line.cells], [one.std(ddof=1) for one in groups], "standard deviations"),
            coefficients(line.smd, np.mean(pairs), f"difference of {variable.column}"),
        ]
    for category in spec.categories:
        rows = sites.rows(spec, category.column, spec.by.column)
        rows = rows[rows[category.column].isin(category.levels)]
        dummies = pd.get_dummies(rows[category.column]).to_numpy(float)[:, 1:]
        groups = [dummies[(rows[spec.by.column] == level).to_numpy()] for level in spec.by.levels]
        pairs = [_apart(a, b) for a, b in combinations(groups, 2)]
        found.append(
            coefficients(result.differences[category.column], np.mean(pairs), f"difference of {category.column}")
        )
    return found


def _apart(one: np.ndarray, two: np.ndarray) -> float:
    spread = np.atleast_2d((np.cov(one.T, ddof=0) + np.cov(two.T, ddof=0)) / 2)
    off = one.mean(axis=0) - two.mean(axis=0)
    return float(np.sqrt(off @ np.linalg.solve(spread, off)))
