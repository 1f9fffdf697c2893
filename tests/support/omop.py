"""Made-up OMOP databases, Common Data Model 5.4: the tables that a cohort reads, with all of their columns."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import create_engine, make_url

# name, type, and ! where a value is required; `date` and `integer` are those of the data model's own scripts.
TABLES = {
    "person": "person_id integer!, gender_concept_id integer!, year_of_birth integer!, month_of_birth integer, "
    "day_of_birth integer, birth_datetime timestamp, race_concept_id integer!, ethnicity_concept_id integer!, "
    "location_id integer, provider_id integer, care_site_id integer, person_source_value varchar(50), "
    "gender_source_value varchar(50), gender_source_concept_id integer, race_source_value varchar(50), "
    "race_source_concept_id integer, ethnicity_source_value varchar(50), ethnicity_source_concept_id integer",
    "observation_period": "observation_period_id integer!, person_id integer!, observation_period_start_date date!, "
    "observation_period_end_date date!, period_type_concept_id integer!",
    "condition_occurrence": "condition_occurrence_id integer!, person_id integer!, condition_concept_id integer!, "
    "condition_start_date date!, condition_start_datetime timestamp, condition_end_date date, "
    "condition_end_datetime timestamp, condition_type_concept_id integer!, condition_status_concept_id integer, "
    "stop_reason varchar(20), provider_id integer, visit_occurrence_id integer, visit_detail_id integer, "
    "condition_source_value varchar(50), condition_source_concept_id integer, "
    "condition_status_source_value varchar(50)",
    "drug_exposure": "drug_exposure_id integer!, person_id integer!, drug_concept_id integer!, "
    "drug_exposure_start_date date!, drug_exposure_start_datetime timestamp, drug_exposure_end_date date!, "
    "drug_exposure_end_datetime timestamp, verbatim_end_date date, drug_type_concept_id integer!, "
    "stop_reason varchar(20), refills integer, quantity numeric, days_supply integer, sig text, "
    "route_concept_id integer, lot_number varchar(50), provider_id integer, visit_occurrence_id integer, "
    "visit_detail_id integer, drug_source_value varchar(50), drug_source_concept_id integer, "
    "route_source_value varchar(50), dose_unit_source_value varchar(50)",
    "measurement": "measurement_id integer!, person_id integer!, measurement_concept_id integer!, "
    "measurement_date date!, measurement_datetime timestamp, measurement_time varchar(10), "
    "measurement_type_concept_id integer!, operator_concept_id integer, value_as_number numeric, "
    "value_as_concept_id integer, unit_concept_id integer, range_low numeric, range_high numeric, provider_id integer, "
    "visit_occurrence_id integer, visit_detail_id integer, measurement_source_value varchar(50), "
    "measurement_source_concept_id integer, unit_source_value varchar(50), unit_source_concept_id integer, "
    "value_source_value varchar(50), measurement_event_id integer, meas_event_field_concept_id integer",
    "death": "person_id integer!, death_date date!, death_datetime timestamp, death_type_concept_id integer, "
    "cause_concept_id integer, cause_source_value varchar(50), cause_source_concept_id integer",
    "concept": "concept_id integer!, concept_name varchar(255)!, domain_id varchar(20)!, vocabulary_id varchar(20)!, "
    "concept_class_id varchar(20)!, standard_concept varchar(1), concept_code varchar(50)!, valid_start_date date!, "
    "valid_end_date date!, invalid_reason varchar(1)",
    "concept_ancestor": "ancestor_concept_id integer!, descendant_concept_id integer!, "
    "min_levels_of_separation integer!, max_levels_of_separation integer!",
}
FILLING = {"integer": 0, "date": "1970-01-01", "varchar": "", "timestamp": None, "numeric": None, "text": None}

MALE, FEMALE = 8507, 8532
DIABETES, TYPE_1, TYPE_2, WITH_KETOACIDOSIS = 201820, 201254, 201826, 443727
HYPERTENSION, ESSENTIAL_HYPERTENSION = 316866, 320128
INFARCTION, ACUTE_INFARCTION = 4329847, 312327
HEART_FAILURE = 316139
METFORMIN, METFORMIN_TABLET = 1503297, 1503328
HBA1C, CRP = 3004410, 3020460
PERCENT, MMOL_PER_MOL, MG_PER_L, DAY = 8554, 9579, 8751, 8512
BELOW, AT_MOST, EQUAL, AT_LEAST, ABOVE = 4171756, 4171754, 4172703, 4171755, 4172704

CONCEPTS = {
    DIABETES: "Diabetes mellitus",
    TYPE_1: "Type 1 diabetes mellitus",
    TYPE_2: "Type 2 diabetes mellitus",
    WITH_KETOACIDOSIS: "Ketoacidosis due to type 2 diabetes mellitus",
    HYPERTENSION: "Hypertensive disorder",
    ESSENTIAL_HYPERTENSION: "Essential hypertension",
    INFARCTION: "Myocardial infarction",
    ACUTE_INFARCTION: "Acute myocardial infarction",
    HEART_FAILURE: "Heart failure",
    METFORMIN: "metformin",
    METFORMIN_TABLET: "metformin hydrochloride 500 MG Oral Tablet",
    HBA1C: "Hemoglobin A1c/Hemoglobin.total in Blood",
    CRP: "C reactive protein [Mass/volume] in Serum or Plasma",
}
UNITS = {PERCENT: "%", MMOL_PER_MOL: "mmol/mol", MG_PER_L: "mg/L", DAY: "d"}
BELOW_CONCEPTS = {
    DIABETES: (TYPE_1, TYPE_2, WITH_KETOACIDOSIS),
    TYPE_2: (WITH_KETOACIDOSIS,),
    HYPERTENSION: (ESSENTIAL_HYPERTENSION,),
    INFARCTION: (ACUTE_INFARCTION,),
    METFORMIN: (METFORMIN_TABLET,),
}

COHORT = """label = "Infarction after a first diagnosis of type 2 diabetes"

[concepts.diabetes]
include = [201820]
exclude = [201254]

[concepts.hypertension]
include = [316866]

[concepts.heart_failure]
include = [316139]

[concepts.infarction]
include = [4329847]

[concepts.metformin]
include = [1503297]

[concepts.hba1c]
include = [3004410]
descendants = false

[index]
event = "condition"
concepts = "diabetes"
dates = [2011-01-01, 2014-12-31]
observed = 180
age = [18, 90]

[exclude.heart_failure]
event = "condition"
concepts = "heart_failure"
days = ["ever", 0]

[exclude.earlier_infarction]
event = "condition"
concepts = "infarction"
days = ["ever", 0]

[follow_up]
days = 1825
until = 2019-12-31

[outcomes.infarction]
event = "condition"
concepts = "infarction"

[outcomes.death]
event = "death"

[variables.age]
of = "age"

[variables.sex]
of = "sex"

[variables.hypertension]
event = "condition"
concepts = "hypertension"
days = [-365, 0]
statistic = "presence"

[variables.metformin]
event = "drug"
concepts = "metformin"
days = [-180, 0]
statistic = "count"

[variables.hba1c]
event = "measurement"
concepts = "hba1c"
days = [-365, 0]
statistic = "last"
unit = "%"
units = { "mmol/mol" = { factor = 0.09148, offset = 2.152 } }
"""

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def vocabulary() -> Rows:
    """Return the vocabularies: each concept is its own ancestor."""
    concepts = [
        {"concept_id": number, "concept_name": name, "vocabulary_id": "SNOMED", "standard_concept": "S"}
        for number, name in CONCEPTS.items()
    ] + [
        {"concept_id": number, "concept_code": code, "vocabulary_id": "UCUM", "standard_concept": "S"}
        for number, code in UNITS.items()
    ]
    pairs = [(one, one) for one in CONCEPTS] + [(up, down) for up, below in BELOW_CONCEPTS.items() for down in below]
    return {
        "concept": concepts,
        "concept_ancestor": [{"ancestor_concept_id": up, "descendant_concept_id": down} for up, down in pairs],
    }


def write(url: str, *parts: Rows, schema: str | None = None) -> str:
    """Write rows to a new database; columns that a row does not name are filled as the data model requires.

    Returns:
        The address.
    """
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg") if url.startswith("postgres") else url)
    prefix = f"{schema}." if schema else ""
    mark = "?" if engine.dialect.name == "sqlite" else "%s"
    with engine.begin() as connection:
        if schema:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        cursor = connection.connection.cursor()
        for table, text in TABLES.items():
            columns = [one.split(" ") for one in text.split(", ")]
            kinds = {name: kind.partition("(")[0].rstrip("!") for name, kind in columns}
            filling = {name: FILLING[kinds[name]] if kind.endswith("!") else None for name, kind in columns}
            spelt = ", ".join(f"{name} {kind.replace('!', ' NOT NULL')}" for name, kind in columns)
            cursor.execute(f"CREATE TABLE {prefix}{table} ({spelt})")
            rows = [row for part in parts for row in part.get(table, ())]
            cursor.executemany(
                f"INSERT INTO {prefix}{table} VALUES ({', '.join([mark] * len(columns))})",
                [tuple({**filling, **row}.values()) for row in rows],
            )
            if "person_id" in kinds:
                cursor.execute(f"CREATE INDEX {table}_person ON {prefix}{table} (person_id)")
    engine.dispose()
    return url


def sqlite(path: Path, *parts: Rows) -> str:
    """Write rows to a new database of SQLite, and return its address."""
    return write(f"sqlite:///{path}", *parts)


def patients(count: int, seed: int = 0) -> Rows:
    """Return made-up persons with diabetes, blood pressure, HbA1c in two units, infarctions and deaths."""
    draw = np.random.default_rng(seed)  # noqa: TID251 - made-up patients
    start = date(2010, 1, 1)
    enter = draw.integers(0, 500, count)
    leave = enter + draw.integers(300, 4300, count)
    index = enter + draw.integers(-100, 1500, count)
    age = draw.normal(62, 11, count).clip(20, 95)
    pressed = draw.random(count) < 0.45
    hba1c = draw.normal(7.4, 1.1, count).clip(4.5, 14)
    hazard = 4e-4 * np.exp(0.03 * (age - 60) + 0.5 * pressed + 0.3 * (hba1c - 7))
    infarction = index + np.ceil(draw.exponential(1 / hazard)).astype(int)
    death = index + np.ceil(draw.exponential(1.5 / hazard)).astype(int) - 50
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}

    def day(number: int) -> str:
        return (start + timedelta(days=int(number))).isoformat()

    def condition(person: int, concept: int, number: int) -> None:
        rows["condition_occurrence"].append(
            {"person_id": person, "condition_concept_id": concept, "condition_start_date": day(number)}
        )

    kinds = draw.choice([TYPE_2, WITH_KETOACIDOSIS, TYPE_1, 0], count, p=[0.6, 0.2, 0.1, 0.1])
    chance = draw.random((count, 8))
    for at in range(count):
        person, told = at + 1, chance[at]
        born = start + timedelta(days=int(index[at] - age[at] * 365.25))
        rows["person"].append(
            {
                "person_id": person,
                "gender_concept_id": MALE if told[0] < 0.5 else FEMALE,
                "year_of_birth": born.year,
                "month_of_birth": born.month if told[1] < 0.95 else None,
                "day_of_birth": born.day if told[1] < 0.9 else None,
            }
        )
        rows["observation_period"].append(
            {
                "person_id": person,
                "observation_period_start_date": day(enter[at]),
                "observation_period_end_date": day(min(leave[at], death[at] if death[at] > enter[at] else leave[at])),
            }
        )
        if enter[at] < death[at] < leave[at]:
            rows["death"].append({"person_id": person, "death_date": day(death[at])})
        if kinds[at]:
            condition(person, int(kinds[at]), index[at])
            condition(person, DIABETES, index[at] + 200)
        if pressed[at]:
            condition(person, ESSENTIAL_HYPERTENSION, index[at] - int(400 * told[2]))
        if told[3] < 0.06:
            condition(person, HEART_FAILURE, index[at] - int(900 * told[2]))
        if told[3] > 0.97:
            condition(person, ACUTE_INFARCTION, index[at] - 30)
        if infarction[at] < leave[at]:
            condition(person, ACUTE_INFARCTION, infarction[at])
        for back in range(int(3 * told[4])):
            when, value = index[at] - int(300 * told[5]) - 20 * back, hba1c[at] + 0.3 * back
            converted = told[6] < 0.2
            rows["measurement"].append(
                {
                    "person_id": person,
                    "measurement_concept_id": HBA1C,
                    "measurement_date": day(when),
                    "value_as_number": round(float((value - 2.152) / 0.09148 if converted else value), 1),
                    "unit_concept_id": MMOL_PER_MOL if converted else PERCENT if told[6] < 0.97 else None,
                    "operator_concept_id": ABOVE if value > 11 else None,
                }
            )
        if told[7] < 0.4:
            rows["drug_exposure"].append(
                {
                    "person_id": person,
                    "drug_concept_id": METFORMIN_TABLET,
                    "drug_exposure_start_date": day(index[at] - int(200 * told[7])),
                    "drug_exposure_end_date": day(index[at]),
                }
            )
    return rows


def of_persons(rows: Rows, persons: Iterable[int]) -> Rows:
    """Return the rows of some persons."""
    chosen = set(persons)
    return {name: [row for row in table if row["person_id"] in chosen] for name, table in rows.items()}
