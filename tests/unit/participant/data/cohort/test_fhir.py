"""A cohort from a folder of FHIR resources: what is read, what is left out and told, and what is refused."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from participant.data.cohort.choose import CohortOptions, open_cohort
from participant.data.model.errors import DeclarationError, SourceError
from participant.data.pipeline.importing import Imported, import_table
from participant.data.store.store import DatasetStore
from tests.support import fhir, omop
from tests.support.fhir import condition, observation, patient
from tests.support.tables import NOW

DIABETES, HBA1C, HEART = fhir.CODES[omop.TYPE_2], fhir.CODES[omop.HBA1C], fhir.CODES[omop.HEART_FAILURE]
COHORT = f"""
[concepts.diabetes]
codes = ["{DIABETES}"]
[concepts.hba1c]
codes = ["{HBA1C}"]
[index]
event = "condition"
concepts = "diabetes"
[outcomes.death]
event = "death"
[variables.age]
of = "age"
[variables.hba1c]
event = "measurement"
concepts = "hba1c"
days = [-365, 0]
statistic = "last"
unit = "%"
units = {{ "mmol/mol" = {{ factor = 0.1, offset = 2 }} }}
[fhir]
dates = [2015-01-01, 2021-12-31]
"""
INDEX = condition(DIABETES, "2020-06-30")


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Imported]:
    store = DatasetStore(tmp_path / "data")

    def take(*resources: dict[str, Any] | str, text: str = COHORT, packed: bool = False) -> Imported:
        folder = tmp_path / "export"
        if folder.exists():
            for one in folder.iterdir():
                one.unlink()
        lines = [one for one in resources if isinstance(one, str)]
        fhir.write(folder, [one for one in resources if not isinstance(one, str)], packed=packed)
        if lines:
            (folder / "z.ndjson").write_text("\n".join(lines) + "\n")
        options = CohortOptions(kind="fhir", name="c.toml", text=text)
        return import_table(store, "t", open_cohort(str(folder), options), imported_at=NOW, pictures=False)

    return take


def values(done: Imported) -> dict[str, list[Any]]:
    return pl.read_parquet(done.folder / "data.parquet").to_dict(as_series=False)


def notes(done: Imported) -> str:
    return "\n".join(done.facts.origin.notes)


def reasons(done: Imported) -> dict[str, int]:
    return next(one.reasons for one in done.description.columns if one.name == "hba1c")


@pytest.mark.parametrize("packed", [False, True])
def test_the_same_patients_are_the_same_cohort_from_both_kinds_of_sources(take, tmp_path: Path, packed: bool) -> None:
    rows = dict(omop.patients(300))
    for period in rows["observation_period"]:
        period.update(observation_period_start_date="2010-01-01", observation_period_end_date="2021-12-31")
    rows["drug_exposure"] = []
    text = omop.COHORT.partition("[concepts.metformin]")[0] + omop.COHORT.partition("include = [1503297]\n")[2]
    text = text.partition("[variables.metformin]")[0] + text.partition('statistic = "count"\n')[2]
    for name, concepts in (
        ("diabetes", (omop.DIABETES, omop.TYPE_2, omop.WITH_KETOACIDOSIS)),
        ("hypertension", (omop.ESSENTIAL_HYPERTENSION,)),
        ("heart_failure", (omop.HEART_FAILURE,)),
        ("infarction", (omop.INFARCTION, omop.ACUTE_INFARCTION)),
        ("hba1c", (omop.HBA1C,)),
    ):
        codes = json.dumps([fhir.CODES[one] for one in concepts])
        text = text.replace(f"[concepts.{name}]\n", f"[concepts.{name}]\ncodes = {codes}\n")
    text += "[fhir]\ndates = [2010-01-01, 2021-12-31]\n"
    url = omop.sqlite(tmp_path / "omop.db", omop.vocabulary(), rows)
    options = CohortOptions(kind="omop", name="c.toml", text=text)
    store = DatasetStore(tmp_path / "other")
    expected = import_table(store, "t", open_cohort(url, options), imported_at=NOW, pictures=False)
    done = take(*fhir.of_omop(rows), text=text, packed=packed)
    assert values(done) == values(expected)
    assert len(values(done)["age"]) > 100
    steps = [(step.words, step.persons) for step in done.facts.origin.attrition if "not known" not in step.words]
    assert steps == [
        (step.words, step.persons) for step in expected.facts.origin.attrition if "not known" not in step.words
    ]
    told = "a record in [no unit], for which no conversion is declared"
    assert reasons(done)[told] == reasons(expected)[told]


def test_units_and_comparators_of_observations(take) -> None:
    people = [patient(f"p{number}") for number in range(1, 8)]
    index = [condition(DIABETES, "2020-06-30", f"p{number}") for number in range(1, 8)]
    quantities = [
        {"value": 7.5, "system": fhir.UCUM, "code": "%"},
        {"value": 50, "system": fhir.UCUM, "code": "mmol/mol"},
        {"value": 7.5, "unit": "%"},
        {"value": 7.5},
        {"value": 4, "comparator": "<", "system": fhir.UCUM, "code": "%"},
        {"value": 140, "comparator": ">=", "system": fhir.UCUM, "code": "mmol/mol"},
        {"value": 7.5, "comparator": "ad", "system": fhir.UCUM, "code": "%"},
    ]
    seen = [
        observation(HBA1C, "2020-06-01", None, about=f"p{number}", name=f"o{number}", valueQuantity=quantity)
        for number, quantity in enumerate(quantities, 1)
    ]
    done = take(*people, *index, *seen)
    found = values(done)
    assert found["hba1c"] == [7.5, 7.0, None, None, None, None, None]
    assert found["hba1c_below"] == [None, None, None, None, 4.0, None, None]
    assert found["hba1c_above"] == [None, None, None, None, None, 16.0, None]
    assert reasons(done) == {
        "a record in [%], for which no conversion is declared": 1,
        "a record in [no unit], for which no conversion is declared": 1,
        "below the limit in hba1c_below": 1,
        "above the limit in hba1c_above": 1,
        "no record in the window": 1,
    }
    assert "% (1, without a number)" in "".join(done.facts.notes["hba1c"])


def test_components_and_several_codes_of_an_observation(take) -> None:
    other = f"{fhir.LOINC}|17856-6"
    component = {"code": fhir.concept(HBA1C), "valueQuantity": {"value": 6, "system": fhir.UCUM, "code": "%"}}
    panel = observation(f"{fhir.LOINC}|1-8", "2020-06-02", None, name="panel", component=[component])
    both = observation(HBA1C, "2020-06-01", 9.0, name="both") | {"code": fhir.concept(HBA1C, other)}
    text = COHORT.replace(f'["{HBA1C}"]', f'["{HBA1C}", "{other}"]')
    assert values(take(patient(), INDEX, panel, both, text=text))["hba1c"] == [6.0]
    mean = text.replace('"last"', '"mean"')
    assert values(take(patient(), INDEX, panel, both, text=mean))["hba1c"] == [7.5]  # a record counts once


def test_what_says_nothing_is_left_out_and_told(take) -> None:
    def status(code: str) -> dict[str, Any]:
        return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": code}]}

    early = "2019-01-01"
    done = take(
        patient(),
        INDEX,
        condition(DIABETES, early, name="a", verificationStatus=status("refuted")),
        condition(DIABETES, early, name="b", verificationStatus=status("entered-in-error")),
        condition(DIABETES, None, name="c", onsetString="as a child"),
        condition(DIABETES, "2019", name="d"),
        condition(DIABETES, early, name="e", subject={"reference": "Group/1"}),
        condition(HEART, "2019", name="f", verificationStatus=status("refuted")),  # of no interest here
        observation(HBA1C, "2020-06-01", 9.0, name="g", status="entered-in-error"),
        observation(HBA1C, None, 9.0, name="h"),
        observation(HBA1C, "2020-05-01", 7.0, name="i", status="amended"),
        {"resourceType": "Encounter", "id": "x"},
    )
    assert values(done)["death_time"] == [549]
    assert values(done)["hba1c"] == [7.0]
    told = notes(done)
    for words in (
        "Condition (7), Encounter (1), Observation (3), Patient (1)",
        "left out: conditions refuted (1)",
        "left out: conditions entered-in-error (1)",
        "left out: Conditions without a date (1)",
        "left out: days of Conditions of which only month or year are known (1)",
        "left out: Conditions of no patient (1)",
        "left out: observations of status entered-in-error (1)",
        "left out: Observations without a date (1)",
        "concepts.diabetes: 1 records",
    ):
        assert words in told
    assert "are its codes right?" not in told
    assert "concepts.hba1c: 0 records; are its codes right?" in notes(take(patient(), INDEX))


def test_partial_dates_follow_the_rule(take) -> None:
    people = [patient("p1", birthDate="1960"), patient("p2", birthDate="1960-06"), patient("p3", birthDate=None)]
    index = [condition(DIABETES, "2020-06-30", f"p{number}") for number in (1, 2, 3)]
    done = take(*people, *index)
    assert values(done)["age"] == [59, 60, None]
    assert "dates of birth without a day: taken as the middle of the month or year (2)" in notes(done)
    partial = [condition(DIABETES, "2020", name="x"), condition(DIABETES, "2019-08", "p2", name="y")]
    middle = COHORT + 'partial_dates = "middle"\n'
    done = take(patient("p1"), patient("p2"), *partial, text=middle)
    assert values(done)["death_time"] == [548, 869]
    assert "days of Conditions of which only month or year are known: taken as the middle (2)" in notes(done)


def test_deaths_with_a_day_without_one_and_none(take) -> None:
    dead = [
        {"deceasedDateTime": "2020-07-10"},
        {"deceasedBoolean": False},
        {"deceasedBoolean": True},
        {"deceasedDateTime": "2021"},
        {"deceasedDateTime": "2020-06-29"},
    ]
    people = [patient(f"p{number}", **more) for number, more in enumerate(dead, 1)]
    index = [condition(DIABETES, "2020-06-30", f"p{number}") for number in range(1, 6)]
    done = take(*people, *index)
    assert (values(done)["death_time"], values(done)["death_event"]) == ([10, 549], [1, 0])
    left = {step.words: step.persons for step in done.facts.origin.attrition}
    assert (left["died on a day that is not known"], left["died before the index day"]) == (2, 1)
    done = take(*people, *index, text=COHORT + 'partial_dates = "middle"\n')
    assert values(done)["death_time"] == [10, 549, 366]


@pytest.mark.parametrize("turned", [False, True])
def test_the_last_version_of_a_resource_counts(take, turned: bool) -> None:
    def at(stamp: str | None, number: str | None = None) -> dict[str, Any]:
        return {"meta": {name: one for name, one in (("lastUpdated", stamp), ("versionId", number)) if one}}

    pairs = [
        (observation(HBA1C, "2020-06-01", 5.0, name="o", **at("2021-01-01T00:30:00+01:00")),
         observation(HBA1C, "2020-06-01", 6.0, name="o", **at("2020-12-31T23:45:00.5Z"))),
        (condition(DIABETES, "2020-05-30", name="c", **at(None, "9")),
         condition(DIABETES, "2020-06-30", name="c", **at(None, "10"))),
        (patient("p1", birthDate="1950-01-01", **at("2020-01-01T00:00:00Z", "1")),
         patient("p1", **at("2020-01-01T00:00:00Z", "2"))),
    ]  # fmt: skip
    lines = [one for pair in pairs for one in (reversed(pair) if turned else pair)]
    done = take(*lines, pairs[0][1])
    assert (values(done)["hba1c"], values(done)["age"], values(done)["death_time"]) == ([6.0], [60], [549])
    assert "left out: earlier versions of a resource (3)" in notes(done)
    assert "left out: copies of a resource (1)" in notes(done)


def test_versions_without_an_order_are_refused(take) -> None:
    one, two = (condition(DIABETES, f"2020-0{month}-30", name="c") for month in (5, 6))
    with pytest.raises(SourceError, match=r"Condition\.ndjson, line 2 and Condition\.ndjson, line 1 are two versions"):
        take(patient(), one, two)


def test_references_are_followed_in_all_forms_and_checked(take) -> None:
    forms = ["Patient/p1", "https://h/fhir/Patient/p1", "Patient/p1/_history/3", "urn:uuid:p1"]
    for form in forms:
        done = take(patient(), condition(DIABETES, "2020-06-30", subject={"reference": form}))
        assert done.description.rows == 1
    stray = condition(HEART, "2020-06-30", "p2")
    with pytest.raises(
        SourceError, match=r"1 resources are about patients .* Condition\.ndjson, line 2\. Is the export"
    ):
        take(patient(), INDEX, stray)
    done = take(patient(), INDEX, stray, text=COHORT + 'unknown_patients = "leave-out"\n')
    assert "left out: resources of patients who are not in the folder (1)" in notes(done)


PATIENT = '{"resourceType": "Patient", "id": "1", %s}'
WRONG = {
    "no JSON": ('{"resourceType": "Patient", "id": Mueller}', r"z\.ndjson, line 1, column 35 is not JSON"),
    "two objects": ('{"resourceType": "Patient"}{}', r"line 1, column 28 is not JSON: Extra data"),
    "a list": ("[]", "is not a JSON object"),
    "NaN": ('{"resourceType": "Patient", "id": NaN}', "is not JSON: NaN"),
    "a deep nest": ("[" * 100_000, "is not JSON.*too deeply nested"),
    "no type": ('{"id": "Mueller"}', "has no resourceType"),
    "no ID": ('{"resourceType": "Patient"}', "has no id"),
    "a bundle": ('{"resourceType": "Bundle", "id": "1"}', "is a Bundle"),
    "a number as an ID": ('{"resourceType": "Patient", "id": 17}', "has another type in id"),
    "a day of another calendar": (PATIENT % '"birthDate": "2001-02-30"', "no calendar has"),
    "a date of another country": (PATIENT % '"birthDate": "3.2.2001"', "no FHIR date in birthDate"),
    "a death that is a word": (PATIENT % '"deceasedBoolean": "no"', "another type in deceasedBoolean"),
    "a stamp that is none": (PATIENT % '"meta": {"lastUpdated": "now"}', "meta.lastUpdated"),
    "a coding that is text": (
        '{"resourceType": "Condition", "id": "1", "code": {"coding": ["E11"]}}',
        "other than objects in coding",
    ),
    "an observation without a status": ('{"resourceType": "Observation", "id": "1"}', "has no status"),
    "a value in words": (
        json.dumps(observation(HBA1C, "2020", None, valueQuantity={"value": "7"})),
        "another type in value",
    ),
    "a value without end": (
        json.dumps(observation(HBA1C, "2020", 17.5)).replace("17.5", "1e999"),
        "no double can hold",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_fhir_does_not_allow_is_refused_with_its_place(take, tmp_path: Path, name: str) -> None:
    line, message = WRONG[name]
    with pytest.raises(SourceError, match=message) as caught:
        take(patient(), INDEX, line)
    assert str(caught.value).startswith("z.ndjson, line 1")
    assert "Mueller" not in str(caught.value)
    assert DatasetStore(tmp_path / "data").list() == ()


def test_files_that_cannot_be_read_are_named(take, tmp_path: Path) -> None:
    options = CohortOptions(kind="fhir", name="c.toml", text=COHORT)
    with pytest.raises(SourceError, match="there is no folder gone"):
        open_cohort(str(tmp_path / "gone"), options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"empty has no file that ends in \.ndjson or \.ndjson\.gz"):
        open_cohort(str(tmp_path / "empty"), options)
    torn = fhir.write(tmp_path / "torn", [patient(f"p{number}") for number in range(1000)], packed=True)
    (file,) = torn.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"Patient\.000\.ndjson\.gz is damaged"):
        open_cohort(str(torn), options)
    (torn / file.name).unlink()
    (torn / "a.ndjson").write_bytes(b'\xef\xbb\xbf{"resourceType": "Patient", "id": "1"}\n\n{"\xff"}')
    with pytest.raises(SourceError, match=r"a\.ndjson, line 3 is not text in UTF-8: byte 3"):
        open_cohort(str(torn), options)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("[fhir]\ndates = [2015-01-01, 2021-12-31]", "", r"c\.toml: fhir\.dates is missing"),
        ("dates = [2015-01-01, 2021-12-31]", "", r"c\.toml: fhir\.dates is missing"),
        ("[2015-01-01, 2021-12-31]", "[2021-12-31, 2015-01-01]", "the last one is before the first one"),
        ('event = "condition"', 'event = "drug"', r"c\.toml: index\.event: drug is not read from FHIR"),
        (
            f'codes = ["{HBA1C}"]',
            "include = [1]",
            r"c\.toml: variables\.hba1c\.concepts: FHIR needs codes in concepts\.hba1c",
        ),
    ],
)
def test_a_cohort_that_fhir_cannot_answer_is_refused_before_the_folder_is_read(
    take, right: str, wrong: str, message: str
) -> None:
    with pytest.raises(DeclarationError, match=message):
        take("no JSON", text=COHORT.replace(right, wrong))


def test_memory_holds_a_line_and_not_the_folder(tmp_path: Path) -> None:
    folder = fhir.write(tmp_path / "export", [patient(), INDEX, observation(HBA1C, "2020-06-01", 7.0)])
    line = json.dumps(observation(HBA1C, "2020-06-01", 8.0, name="x", note=[{"text": "x" * (1 << 20)}]))
    (folder / "z.ndjson.gz").write_bytes(gzip.compress(line.encode() + b"\n") * 100)
    tracemalloc.start()
    try:
        source = open_cohort(str(folder), CohortOptions(kind="fhir", name="c.toml", text=COHORT))
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
    assert [batch.cells["3"].to_list() for batch in source.batches()] == [[7.5]]
    assert "left out: copies of a resource (99)" in source.origin().notes
