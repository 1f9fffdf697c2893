"""A cohort of four hospitals with OMOP databases: the Cox model over the sites is that of SQL by hand and lifelines.

`make omop` does the same with a hundred thousand persons.
"""

import asyncio
import os
import sqlite3
from pathlib import Path

import numpy as np
import polars as pl

from coordinator.demo.pooled import pooled_cox
from coordinator.runs.simulation import Simulation
from coordinator.session.progress import nowhere
from participant.analyses.base.spec import Grid
from participant.analyses.survival.cox import CoxSpec
from participant.data.cohort.choose import CohortOptions
from participant.data.model.declaration import Declaration
from participant.data.pipeline import confined
from participant.data.pipeline.confined import Limits
from participant.data.store.store import DATA, DatasetStore
from participant.statistics.models.variables import Variable
from tests.support import omop
from tests.support.tables import NOW

PERSONS = int(os.environ.get("PERSONS", "3000"))
SITES = 4

# Written without a look at the statements that a cohort file becomes: dates stay dates, each step is its own.
BY_HAND = """
WITH index_day AS (
    SELECT person_id, min(condition_start_date) AS day FROM condition_occurrence
    WHERE condition_concept_id IN (201820, 201826, 443727) GROUP BY person_id
),
eligible AS (
    SELECT i.person_id, i.day, p.gender_concept_id = 8507 AS sex,
        strftime('%Y', i.day) - p.year_of_birth - (strftime('%m-%d', i.day) < printf('%02d-%02d',
            coalesce(p.month_of_birth, 7),
            coalesce(p.day_of_birth, CASE WHEN p.month_of_birth IS NULL THEN 1 ELSE 15 END))) AS age,
        min(o.observation_period_end_date, date(i.day, '+1825 days'), '2019-12-31',
            coalesce(d.death_date, '9999-12-31')) AS last
    FROM index_day i JOIN person p USING (person_id)
    JOIN observation_period o ON o.person_id = i.person_id
        AND o.observation_period_start_date <= date(i.day, '-180 days') AND i.day <= o.observation_period_end_date
    LEFT JOIN death d ON d.person_id = i.person_id
    WHERE i.day BETWEEN '2011-01-01' AND '2014-12-31' AND (d.death_date IS NULL OR d.death_date >= i.day)
    AND NOT EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = i.person_id
        AND c.condition_concept_id IN (316139, 4329847, 312327) AND c.condition_start_date <= i.day)
),
followed AS (
    SELECT e.*, (SELECT min(c.condition_start_date) FROM condition_occurrence c WHERE c.person_id = e.person_id
        AND c.condition_concept_id IN (4329847, 312327) AND c.condition_start_date > e.day
        AND c.condition_start_date <= e.last) AS infarction
    FROM eligible e WHERE age BETWEEN 18 AND 90 AND last > day
),
last_value AS (
    SELECT m.person_id, m.value_as_number AS value, m.unit_concept_id AS unit, m.operator_concept_id AS operator,
        row_number() OVER (PARTITION BY m.person_id ORDER BY m.measurement_date DESC) AS place
    FROM measurement m JOIN followed f ON f.person_id = m.person_id
    WHERE m.measurement_concept_id = 3004410 AND m.measurement_date BETWEEN date(f.day, '-365 days') AND f.day
)
SELECT julianday(coalesce(infarction, last)) - julianday(day) AS infarction_time,
    infarction IS NOT NULL AS infarction_event, age, sex,
    EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = f.person_id
        AND c.condition_concept_id IN (316866, 320128)
        AND c.condition_start_date BETWEEN date(f.day, '-365 days') AND f.day) AS hypertension,
    CASE WHEN operator IS NULL AND unit = 8554 THEN value
        WHEN operator IS NULL AND unit = 9579 THEN value * 0.09148 + 2.152 END AS hba1c
FROM followed f LEFT JOIN last_value v ON v.person_id = f.person_id AND v.place = 1
ORDER BY f.person_id
"""
SPEC = CoxSpec(
    dataset="t",
    time="infarction_time",
    event="infarction_event",
    covariates=(
        Variable(column="age", low=18, high=90),
        Variable(column="sex", low=0, high=1),
        Variable(column="hypertension", low=0, high=1),
        Variable(column="hba1c", low=3, high=20),
    ),
    grid=Grid(width=7, count=261),
    minimum_persons=1,
    row_limit=PERSONS,
)


def imported(url: str, folder: Path) -> dict[str, np.ndarray]:
    """Import a site's database as its data manager does, and return the columns that statistics can use."""
    store = DatasetStore(folder)
    done = confined.run(
        store,
        "t",
        url,
        options=CohortOptions(kind="omop", name="cohort.toml", text=omop.COHORT),
        declared=Declaration(),
        imported_at=NOW,
        mapped=True,
        pictures=False,
        limits=Limits(memory_mib=1024, minutes=5),
        show=lambda *_, **__: None,
    )
    table = pl.read_parquet(done.folder / DATA).select(pl.all().cast(pl.Float64))
    return {column.name: column.to_numpy() for column in table}


def test_four_sites_give_what_sql_and_lifelines_give_on_the_pooled_database(tmp_path: Path) -> None:
    patients, vocabulary = omop.patients(PERSONS), omop.vocabulary()
    omop.sqlite(tmp_path / "pooled.db", vocabulary, patients)
    sites = {}
    for site in range(SITES):
        part = omop.of_persons(patients, range(1 + site, PERSONS + 1, SITES))
        sites[f"site {site}"] = imported(
            omop.sqlite(tmp_path / f"{site}.db", vocabulary, part), tmp_path / f"site-{site}"
        )
    with sqlite3.connect(tmp_path / "pooled.db") as database:
        expected = pl.read_database(BY_HAND, database).select(pl.all().cast(pl.Float64))
    database.close()

    pooled = pl.concat([pl.DataFrame(site) for site in sites.values()])
    assert pooled.height == expected.height > 0.3 * PERSONS
    np.testing.assert_allclose(_sorted(pooled.select(expected.columns)), _sorted(expected), rtol=1e-12)

    (result,) = asyncio.run(Simulation(sites).carry_out((SPEC,), nowhere))[1].results
    oracle = pooled_cox({column.name: column.to_numpy() for column in expected}, SPEC)
    assert result.rows == oracle.rows
    assert result.events == oracle.events > 50
    np.testing.assert_allclose(result.coef, oracle.coef, atol=1e-6 * oracle.se.max())
    np.testing.assert_allclose(result.se, oracle.se, rtol=1e-6)


def _sorted(table: pl.DataFrame) -> np.ndarray:
    return table.fill_nan(None).sort(pl.all()).to_numpy()
