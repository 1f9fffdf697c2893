"""Real trials as tables, each with a specification that fits it, and ways to split them over sites."""

from functools import cache

import numpy as np
import pandas as pd
from lifelines.datasets import load_gbsg2, load_rossi

from coordinator.demo.lung import COX, lung_by_institution
from coordinator.demo.pooled import pooled
from participant.analyses.survival.cox import CoxSpec
from participant.statistics.language.statistic import Columns
from participant.statistics.models.outcome import Grid
from participant.statistics.models.variables import Variable


@cache
def lung() -> Columns:
    return pooled(lung_by_institution().values())


@cache
def rossi() -> Columns:
    """Return 432 people followed for 52 weeks, with ties at almost every event time."""
    return _columns(load_rossi())


@cache
def gbsg2() -> Columns:
    """Return 686 patients with skewed covariates."""
    patients = load_gbsg2()
    return _columns(
        patients.assign(
            horTh=(patients["horTh"] == "yes").astype(float),
            menostat=(patients["menostat"] == "Post").astype(float),
            tgrade=patients["tgrade"].map({"I": 1.0, "II": 2.0, "III": 3.0}),
        )
    )


LUNG = COX
ROSSI = CoxSpec(
    dataset="rossi",
    time="week",
    event="arrest",
    covariates=(
        Variable(column="fin", low=0, high=1),
        Variable(column="age", low=15, high=60),
        Variable(column="race", low=0, high=1),
        Variable(column="wexp", low=0, high=1),
        Variable(column="mar", low=0, high=1),
        Variable(column="paro", low=0, high=1),
        Variable(column="prio", low=0, high=20),
    ),
    grid=Grid(width=1, count=52),
    time_unit="weeks",
    minimum_persons=1,
    row_limit=1000,
)
GBSG2 = CoxSpec(
    dataset="gbsg2",
    time="time",
    event="cens",
    covariates=(
        Variable(column="horTh", low=0, high=1),
        Variable(column="age", low=18, high=90),
        Variable(column="menostat", low=0, high=1),
        Variable(column="tsize", low=0, high=150),
        Variable(column="tgrade", low=1, high=3),
        Variable(column="pnodes", low=0, high=60),
        Variable(column="progrec", low=0, high=3000),
        Variable(column="estrec", low=0, high=1500),
    ),
    grid=Grid(width=30, count=90),
    minimum_persons=1,
    row_limit=1000,
)
GBSG2_HALF_YEARS = GBSG2.model_copy(update={"grid": Grid(width=182.5, count=10)})  # heavy ties, censored at 5 years

TRIALS = {
    "lung": (lung, LUNG),
    "rossi": (rossi, ROSSI),
    "gbsg2": (gbsg2, GBSG2),
    "gbsg2-half-years": (gbsg2, GBSG2_HALF_YEARS),
}


def split(table: Columns, parts: int, seed: int) -> dict[str, Columns]:
    """Return the rows, distributed at random; a part may stay empty."""
    site = np.random.default_rng(seed).integers(parts, size=rows(table))  # noqa: TID251 - deals out test data
    return {f"site-{part}": take(table, site == part) for part in range(parts)}


def take(table: Columns, which: np.ndarray) -> Columns:
    return {name: column[which] for name, column in table.items()}


def rows(table: Columns) -> int:
    return len(next(iter(table.values())))


def _columns(frame: pd.DataFrame) -> Columns:
    return {str(name): frame[name].to_numpy(np.float64) for name in frame.columns}
