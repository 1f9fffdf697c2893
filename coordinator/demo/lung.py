"""The demonstration's data: the NCCTG lung-cancer trial, split by the institution that enrolled the patient.

228 patients with advanced lung cancer. The nine institutions that enrolled ten or more (176 in total) are the sites.
Columns: `time` in days, `status` (1 died, 0 censored), `age` in years, `sex` (1 male, 2 female), `ph.ecog` (ECOG
performance score by the physician, 0 good to 4 bedbound), `ph.karno` and `pat.karno` (Karnofsky score by physician and
patient, 0 bad to 100 good), `meal.cal` (calories at meals), `wt.loss` (pounds in the last six months).

Source: Loprinzi et al. 1994, J Clin Oncol 12:601, as distributed with lifelines.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from lifelines.datasets import load_lung

from participant.analyses.survival.cox import CoxSpec
from participant.analyses.survival.kaplan_meier import KaplanMeierSpec
from participant.statistics.language.statistic import Columns
from participant.statistics.models.outcome import Grid
from participant.statistics.models.variables import Variable

MIN_PATIENTS = 10
COLUMNS = ("time", "status", "age", "sex", "ph.ecog", "ph.karno", "pat.karno", "meal.cal", "wt.loss")

COX = CoxSpec(
    dataset="lung",
    time="time",
    event="status",
    covariates=(
        Variable(column="age", low=18, high=100),
        Variable(column="sex", low=1, high=2),
        Variable(column="ph.ecog", low=0, high=4),
        Variable(column="wt.loss", low=-50, high=100),
    ),
    grid=Grid(width=7, count=150),
    minimum_persons=1,  # the published trial has an event or two in most weeks
    row_limit=1000,
)
KAPLAN_MEIER = KaplanMeierSpec(
    dataset=COX.dataset,
    time=COX.time,
    event=COX.event,
    grid=COX.grid,
    minimum_persons=COX.minimum_persons,
    row_limit=COX.row_limit,
    complete=COX.names,
)


def lung_by_institution() -> dict[str, Columns]:
    """Return the tables by site name: (rows,) float64 columns, with NaN for missing values."""
    patients = load_lung()
    sizes = patients["inst"].value_counts()
    return {
        f"institution-{int(number):02d}": {
            name: patients.loc[patients["inst"] == number, name].to_numpy(np.float64) for name in COLUMNS
        }
        for number in sorted(sizes[sizes >= MIN_PATIENTS].index)
    }


def write_csv(folder: Path) -> Mapping[str, Path]:
    """Write each site's table as a CSV file into `folder`, and return the files by site name."""
    files = {}
    for site, table in lung_by_institution().items():
        files[site] = folder / f"{site}.csv"
        with files[site].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in zip(*(table[name] for name in COLUMNS), strict=True):
                writer.writerow(["" if np.isnan(value) else f"{value:g}" for value in row])
    return files
