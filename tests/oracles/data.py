"""Real data sets as tables, split by their centres or over made-up sites.

Only lung comes with its centres: the nine institutions with ten patients or more. All others are split at random.
"""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pandas as pd
from sklearn import datasets
from statsmodels.datasets import anes96, fair

from coordinator.demo.lung import lung_by_institution
from coordinator.demo.pooled import pooled
from participant.statistics.language.statistic import Columns
from tests.support.trials import gbsg2, lung, rossi, split

SEED = 9


@cache
def breast_cancer() -> Columns:
    """569 tumours, 30 measurements of cell nuclei, `malignant` 1 or 0. Columns as in scikit-learn, with underscores."""
    return _scikit(datasets.load_breast_cancer(as_frame=True).frame.assign(malignant=lambda rows: 1 - rows["target"]))


@cache
def diabetes() -> Columns:
    """442 patients; `target` is the disease's progress in a year, the others are scaled as scikit-learn has them."""
    return _scikit(datasets.load_diabetes(as_frame=True).frame)


@cache
def diabetes_with_gaps() -> Columns:
    """The same with gaps: `bmi` is missing the more often the higher `bp` is, `male` in every sixth row."""
    table = dict(diabetes())
    chance = np.random.default_rng(SEED).random(len(table["bmi"]))  # noqa: TID251 - makes gaps in test data
    table["bmi"] = np.where(chance < 0.25 + 3 * table["bp"], np.nan, table["bmi"])
    table["male"] = np.where(np.arange(len(chance)) % 6 == 0, np.nan, (table["sex"] > 0).astype(np.float64))
    return table


@cache
def wine() -> Columns:
    """178 wines of three `target` cultivars, 13 chemical measurements."""
    return _scikit(datasets.load_wine(as_frame=True).frame)


@cache
def affairs() -> Columns:
    """6366 answers; `rate_marriage` from 1 to 5, and what may explain it."""
    return _columns(fair.load_pandas().data)


@cache
def election() -> Columns:
    """944 voters of 1996; `PID` is party identification from 0 to 6."""
    return _columns(anes96.load_pandas().data)


TABLES: Mapping[str, Callable[[], Columns]] = {
    "affairs": affairs,
    "breast-cancer": breast_cancer,
    "diabetes": diabetes,
    "diabetes-with-gaps": diabetes_with_gaps,
    "election": election,
    "gbsg2": gbsg2,
    "lung": lung,
    "rossi": rossi,
    "wine": wine,
}


def sites_of(dataset: str, count: int) -> dict[str, Columns]:
    """Return the tables of so many sites: by real centre where the data set has them, otherwise at random."""
    if dataset != "lung":
        return split(TABLES[dataset](), count, SEED)
    centres = list(lung_by_institution().values())
    return {f"site-{site}": pooled(centres[site::count]) for site in range(count)}


def _scikit(frame: pd.DataFrame) -> Columns:
    return _columns(frame.rename(columns=lambda name: str(name).replace(" ", "_")))


def _columns(frame: pd.DataFrame) -> Columns:
    return {str(name): frame[name].to_numpy(np.float64) for name in frame.columns}
