"""A cohort from an OMOP database: who is in it, what each column says, and what the report tells."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from participant.data.cohort.choose import CohortOptions, open_cohort, sql_of
from participant.data.cohort.language import MAX_CRITERIA, MAX_VARIABLES
from participant.data.model.errors import DeclarationError, SourceError
from participant.data.pipeline.importing import Imported, import_table
from participant.data.store.store import DatasetStore
from tests.support import omop
from tests.support.tables import NOW

HEAD = """
[concepts.diabetes]
include = [201820]
exclude = [201254]
[index]
event = "condition"
concepts = "diabetes"
"""
YEAR = '[variables.year]\nof = "year"\n'
TIMES = '[outcomes.death]\nevent = "death"\n'
INFARCTION = "[concepts.infarction]\ninclude = [4329847]\n"
HBA1C = "[concepts.hba1c]\ninclude = [3004410]\n"


class Clinic:
    """A database under construction; days are dates of 2020 in the form MM-DD, or whole dates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in omop.TABLES}

    def person(self, number: int, *, first: str = "2019-01-01", last: str = "2021-12-31", **more: Any) -> "Clinic":
        about = {"gender_concept_id": omop.FEMALE, "year_of_birth": 1960, "month_of_birth": 5, "day_of_birth": 20}
        self.rows["person"].append({"person_id": number, **about, **more})
        self.rows["observation_period"].append(
            {
                "person_id": number,
                "observation_period_start_date": first,
                "observation_period_end_date": last,
            }
        )
        return self

    def condition(self, number: int, concept: int, *days: str) -> "Clinic":
        return self._add("condition_occurrence", "condition_concept_id", "condition_start_date", number, concept, days)

    def drug(self, number: int, concept: int, *days: str) -> "Clinic":
        return self._add("drug_exposure", "drug_concept_id", "drug_exposure_start_date", number, concept, days)

    def dies(self, number: int, day: str) -> "Clinic":
        self.rows["death"].append({"person_id": number, "death_date": _day(day)})
        return self

    def hba1c(
        self, number: int, day: str, value: Any, unit: int | None = omop.PERCENT, mark: int | None = None
    ) -> "Clinic":
        self.rows["measurement"].append(
            {
                "person_id": number,
                "measurement_concept_id": omop.HBA1C,
                "measurement_date": _day(day),
                "value_as_number": value,
                "unit_concept_id": unit,
                "operator_concept_id": mark,
            }
        )
        return self

    def _add(self, table: str, concept: str, date: str, number: int, which: int, days: tuple[str, ...]) -> "Clinic":
        self.rows[table] += [{"person_id": number, concept: which, date: _day(day)} for day in days]
        return self

    def write(self) -> str:
        path = self.folder / "omop.db"
        path.unlink(missing_ok=True)
        return omop.sqlite(path, omop.vocabulary(), self.rows)


def _day(day: str) -> str:
    return day if len(day) > 5 else f"2020-{day}"


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


def cohort(text: str) -> CohortOptions:
    return CohortOptions(kind="omop", name="c.toml", text=text)


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Imported]:
    store = DatasetStore(tmp_path / "data")
    return lambda url, text: import_table(store, "t", open_cohort(url, cohort(text)), imported_at=NOW, pictures=False)


def values(done: Imported) -> dict[str, list[Any]]:
    return pl.read_parquet(done.folder / "data.parquet").to_dict(as_series=False)


def column(done: Imported, name: str) -> Any:
    return next(one for one in done.description.columns if one.name == name)


def left_out(done: Imported) -> dict[str, int]:
    return {step.words: step.persons for step in done.facts.origin.attrition if step.persons}


def test_concepts_have_descendants_and_exclusions(clinic: Clinic, take) -> None:
    for number, concept in enumerate(
        [omop.DIABETES, omop.TYPE_1, omop.TYPE_2, omop.WITH_KETOACIDOSIS, omop.HEART_FAILURE], 1
    ):
        clinic.person(number, year_of_birth=1950 + number).condition(number, concept, "06-01")
    url = clinic.write()
    age = '[variables.age]\nof = "age"\n' + YEAR
    assert values(take(url, HEAD + age))["age"] == [69, 67, 66]
    assert values(take(url, HEAD.replace("exclude = [201254]", "exclude = [201826]") + age))["age"] == [69, 68]
    assert values(take(url, HEAD.replace("exclude = [201254]", "descendants = false") + age))["age"] == [69]


def test_each_step_tells_whom_it_leaves_out(clinic: Clinic, take) -> None:
    day = "06-01"
    clinic.person(1).condition(1, omop.TYPE_2, day)
    clinic.person(2)
    clinic.person(3).condition(3, omop.TYPE_2, "2018-05-01", day)
    clinic.person(4, last="2020-05-31").condition(4, omop.TYPE_2, day)
    clinic.person(5, first="2020-01-02").condition(5, omop.TYPE_2, day)
    clinic.person(6, year_of_birth=2002, month_of_birth=6, day_of_birth=2).condition(6, omop.TYPE_2, day)
    clinic.person(7).condition(7, omop.TYPE_2, day).dies(7, "05-31")
    clinic.person(8).condition(8, omop.TYPE_2, day).condition(8, omop.HEART_FAILURE, "05-31")
    clinic.person(9).condition(9, omop.TYPE_2, day).condition(9, omop.HEART_FAILURE, "06-02")
    clinic.person(10, last="2020-06-01").condition(10, omop.TYPE_2, day).drug(10, omop.METFORMIN_TABLET, day)
    clinic.person(11, first="2020-01-01").condition(11, omop.TYPE_2, day).drug(11, omop.METFORMIN_TABLET, day)
    clinic.person(12, year_of_birth=2002, month_of_birth=6, day_of_birth=1).condition(12, omop.TYPE_2, day)
    clinic.drug(12, omop.METFORMIN, "2020-06-01")
    text = f"""{HEAD}dates = [2019-01-01, 2020-12-31]
observed = 152
age = [18, 90]
[concepts.heart_failure]
include = [316139]
[concepts.metformin]
include = [1503297]
[exclude.heart_failure]
event = "condition"
concepts = "heart_failure"
days = ["ever", 0]
[require.metformin]
event = "drug"
concepts = "metformin"
days = [-10, 0]
{TIMES}"""
    done = take(clinic.write(), text)
    assert left_out(done) == {
        "no index event": 1,
        "first event not from 2019-01-01 to 2020-12-31": 1,
        "not under observation on the index day": 1,
        "observed for less than 152 days before the index day": 1,
        "age not from 18 to 90": 1,
        "died before the index day": 1,
        "without what require.metformin asks for": 3,
        "not followed for a day": 1,
    }
    assert done.description.rows == 2
    assert done.facts.origin.attrition[0].remaining == 12
    assert done.facts.origin.attrition[-1].remaining == 2
    for report in ("report.html", "report.md"):
        assert "observed for less than 152 days" in (done.folder / report).read_text()
    without = text.replace("require.metformin", "exclude.metformin")
    assert left_out(take(clinic.write(), without))["with what exclude.heart_failure names"] == 1
    in_dates = text.replace("age =", 'occurrence = "first-in-dates"\nage =')
    assert left_out(take(clinic.write(), in_dates))["no index event"] == 1


def test_follow_up_ends_at_death_end_of_observation_or_as_the_file_says(clinic: Clinic, take) -> None:
    for number in range(1, 6):
        clinic.person(number, last="2020-12-31" if number == 2 else "2025-12-31").condition(
            number, omop.TYPE_2, "06-01"
        )
    clinic.dies(1, "06-11").dies(2, "2021-01-05").dies(3, "2025-06-01")
    clinic.condition(4, omop.ACUTE_INFARCTION, "06-01", "07-01", "08-01").condition(5, omop.INFARCTION, "2025-06-01")
    text = f"""{HEAD}{INFARCTION}
[follow_up]
days = 730
until = 2022-05-31
{TIMES}[outcomes.infarction]
event = "condition"
concepts = "infarction"
"""
    done = take(clinic.write(), text)
    assert values(done) == {
        "death_time": [10, 213, 729, 729, 729],
        "death_event": [1, 0, 0, 0, 0],
        "infarction_time": [10, 213, 729, 30, 729],
        "infarction_event": [0, 0, 0, 1, 0],
    }
    assert "1 persons have such a record on the index day or before" in "".join(done.facts.notes["infarction_event"])
    for what, events in (("competes", [2, 0, 0, 1, 0]), ("counts", [1, 0, 0, 1, 0])):
        changed = take(clinic.write(), f'{text}death = "{what}"\n')
        assert values(changed)["infarction_event"] == events
        assert values(changed)["infarction_time"] == [10, 213, 729, 30, 729]
    longer = take(clinic.write(), text.replace("days = 730\nuntil = 2022-05-31\n", ""))
    assert values(longer)["death_event"] == [1, 0, 1, 0, 0]
    assert values(longer)["infarction_event"] == [0, 0, 0, 1, 1]


def test_what_is_known_of_a_person(clinic: Clinic, take) -> None:
    births = [(1960, 6, 1), (1960, 6, 2), (1960, None, None), (1960, 6, None), (2000, 2, 29)]
    for number, (year, month, day) in enumerate(births, 1):
        clinic.person(
            number,
            year_of_birth=year,
            month_of_birth=month,
            day_of_birth=day,
            gender_concept_id=(8507, 8532, 0)[number % 3],
        )
        clinic.condition(number, omop.TYPE_2, "06-01" if number < 5 else "2021-02-28")
    done = take(
        clinic.write(), f'{HEAD}[variables.age]\nof = "age"\n[variables.sex]\nof = "sex"\nlabel = "sex"\n{YEAR}'
    )
    assert values(done) == {
        "age": [60, 59, 59, 59, 20],
        "sex": [0, None, 1, 0, None],
        "year": [2020, 2020, 2020, 2020, 2021],
    }
    assert (column(done, "sex").categories, column(done, "sex").label) == ({"female": 0, "male": 1}, "sex")
    assert column(done, "sex").reasons == {"neither female nor male": 2}


def test_records_in_a_window_of_which_both_days_count(clinic: Clinic, take) -> None:
    clinic.person(1).condition(1, omop.TYPE_2, "06-30")
    clinic.condition(1, omop.ESSENTIAL_HYPERTENSION, "05-30", "05-31", "06-30", "06-30", "07-01")
    clinic.person(2).condition(2, omop.TYPE_2, "06-30")
    text = HEAD + "[concepts.pressure]\ninclude = [316866]\n"
    for name, days in (("presence", "-30, 0"), ("count", "-30, 0"), ("days", "-30, 0"), ("days-since", '"ever", -1')):
        text += (
            f'[variables.{name.replace("-", "_")}]\nevent = "condition"\nconcepts = "pressure"\ndays = [{days}]\n'
            f'statistic = "{name}"\n'
        )
    done = take(clinic.write(), text)
    assert values(done) == {"presence": [True, False], "count": [3, 0], "days": [2, 0], "days_since": [30, None]}
    assert column(done, "days_since").reasons == {"no record in the window": 1}
    assert column(done, "days_since").unit == "d"


VALUE = """
[variables.hba1c]
event = "measurement"
concepts = "hba1c"
days = [-365, 0]
statistic = "last"
unit = "%"
"""
CONVERTED = 'units = { "mmol/mol" = { factor = 0.1, offset = 2 } }\n'


@pytest.mark.parametrize(
    ("statistic", "same_day", "value"),
    [
        ("last", "mean", 7.0),
        ("last", "lowest", 6.0),
        ("last", "highest", 8.0),
        ("first", "mean", 9.0),
        ("mean", "mean", 23 / 3),
        ("lowest", "mean", 6.0),
        ("highest", "mean", 9.0),
    ],
)
def test_a_value_of_several(clinic: Clinic, take, statistic: str, same_day: str, value: float) -> None:
    clinic.person(1).condition(1, omop.TYPE_2, "06-30").hba1c(1, "06-29", 6).hba1c(1, "06-29", 60, omop.MMOL_PER_MOL)
    clinic.hba1c(1, "05-01", 9.0).hba1c(1, "07-01", 20.0).hba1c(1, "06-30", None)
    text = HEAD + HBA1C + YEAR + VALUE.replace('"last"', f'"{statistic}"') + CONVERTED + f'same_day = "{same_day}"\n'
    if statistic not in {"first", "last"}:
        with pytest.raises(DeclarationError, match="same_day belongs to first and last"):
            take(clinic.write(), text)
        text = text.replace(f'same_day = "{same_day}"\n', "")
    done = take(clinic.write(), text)
    assert values(done)["hba1c"] == [pytest.approx(value, rel=1e-15)]
    note = "records by unit: % (1, without a number), % (2), mmol/mol (1)"
    assert note in done.facts.notes["hba1c"]


def test_a_unit_without_a_conversion_is_named_and_makes_the_value_missing(clinic: Clinic, take) -> None:
    for number, unit in enumerate([omop.PERCENT, omop.MMOL_PER_MOL, None, 0, omop.HBA1C], 1):
        clinic.person(number).condition(number, omop.TYPE_2, "06-30").hba1c(number, "06-01", 7.0, unit)
    clinic.hba1c(2, "05-01", 7.0).hba1c(1, "05-01", 50, omop.MMOL_PER_MOL)
    done = take(clinic.write(), HEAD + HBA1C + YEAR + VALUE)
    assert values(done)["hba1c"] == [7.0, None, None, None, None]
    assert column(done, "hba1c").reasons == {
        "a record in mmol/mol, for which no conversion is declared": 1,
        "a record in [no unit], for which no conversion is declared": 2,
        f"a record in [concept {omop.HBA1C}], for which no conversion is declared": 1,
    }
    mean = take(clinic.write(), HEAD + HBA1C + YEAR + VALUE.replace('"last"', '"mean"'))
    assert values(mean)["hba1c"] == [None] * 5  # never a mean of some of the records
    both = take(clinic.write(), HEAD + HBA1C + YEAR + VALUE + CONVERTED)
    assert values(both)["hba1c"] == [7.0, 2.7, None, None, None]


def test_values_beyond_a_limit_are_kept_apart(clinic: Clinic, take) -> None:
    for number in range(1, 7):
        clinic.person(number).condition(number, omop.TYPE_2, "06-30")
    clinic.hba1c(1, "06-01", 4.0, mark=omop.BELOW).hba1c(2, "06-01", 14.0, mark=omop.AT_LEAST)
    clinic.hba1c(3, "06-01", 4.0, mark=omop.BELOW).hba1c(3, "06-01", 14.0, mark=omop.ABOVE)
    clinic.hba1c(4, "06-01", 4.0, mark=omop.AT_MOST).hba1c(4, "06-01", 6.0, mark=omop.EQUAL).hba1c(5, "06-01", 5.0)
    done = take(clinic.write(), HEAD + HBA1C + YEAR + VALUE)
    found = values(done)
    assert found["hba1c"] == [None, None, None, None, 5.0, None]
    assert found["hba1c_below"] == [4.0, None, None, 5.0, None, None]
    assert found["hba1c_above"] == [None, 14.0, None, None, None, None]
    assert column(done, "hba1c").reasons == {
        "below the limit in hba1c_below": 2,
        "above the limit in hba1c_above": 1,
        "limits on both sides": 1,
        "no record in the window": 1,
    }
    inside = values(take(clinic.write(), HEAD + HBA1C + YEAR + VALUE + 'limits = "value"\n'))
    assert inside["hba1c"] == [4.0, 14.0, None, 5.0, 5.0, None]
    assert inside["hba1c_below"] == found["hba1c_below"]


def test_dates_may_be_seconds_as_well(clinic: Clinic, take) -> None:
    clinic.person(1, year_of_birth=1930).condition(1, omop.TYPE_2, "06-30").dies(1, "08-01")
    url = clinic.write()
    text = f'{HEAD}{TIMES}[variables.age]\nof = "age"\n'
    expected = values(take(url, text))
    assert expected == {"death_time": [32], "death_event": [1], "age": [90]}
    change(clinic, "UPDATE condition_occurrence SET condition_start_date = unixepoch(condition_start_date) + 0.0")
    change(clinic, "UPDATE death SET death_date = death_date || ' 10:30:00'")
    assert values(take(url, text)) == expected


def change(clinic: Clinic, statement: str) -> None:
    with sqlite3.connect(clinic.folder / "omop.db") as database:
        database.execute(statement)
    database.close()


@pytest.mark.parametrize("wrong", ["'30.06.2020'", "'2020-02-30'", "20200630", "'soon'", "x'00'"])
def test_dates_that_would_be_read_as_others_are_refused(clinic: Clinic, take, wrong: str) -> None:
    clinic.person(1).condition(1, omop.TYPE_2, "06-30").dies(1, "08-01")
    url = clinic.write()
    change(clinic, f"UPDATE death SET death_date = {wrong}")
    with pytest.raises(SourceError, match=r"1 cells of death\.death_date are no dates of SQLite"):
        take(url, HEAD + TIMES)


def test_text_in_a_column_of_numbers_is_none(clinic: Clinic, take) -> None:
    clinic.person(1).condition(1, omop.TYPE_2, "06-30").hba1c(1, "06-01", "positive").hba1c(1, "05-01", 7.0)
    done = take(clinic.write(), HEAD + HBA1C + YEAR + VALUE)
    assert values(done)["hba1c"] == [7.0]
    assert "records by unit: % (1, without a number), % (1)" in done.facts.notes["hba1c"]


def test_more_variables_than_a_database_joins_at_once(clinic: Clinic) -> None:
    clinic.person(1).condition(1, omop.TYPE_2, "06-30").hba1c(1, "06-01", 7.0)
    window = '[%s.n%d]\nevent = "condition"\nconcepts = "diabetes"\ndays = [%d, %d]\n'
    text = HEAD + HBA1C + TIMES
    text += "".join(window % ("exclude", number, 400, 400) for number in range(MAX_CRITERIA))
    text += "".join(window % ("require", number, 0, 0) for number in range(MAX_CRITERIA))
    text += "".join(VALUE.replace("hba1c]", f"v{number}]", 1) for number in range(66))
    (batch,) = open_cohort(clinic.write(), cohort(text)).batches()
    assert batch.cells.row(0) == (549, 0, *(7.0, None, None) * 66)
    too_many = text + "".join(VALUE.replace("hba1c]", f"w{number}]", 1) for number in range(MAX_VARIABLES))
    with pytest.raises(DeclarationError, match="variables must have at most 250 entries"):
        open_cohort(clinic.write(), cohort(too_many))


def test_infinite_numbers_are_missing_with_a_reason(clinic: Clinic, take) -> None:
    clinic.person(1).condition(1, omop.TYPE_2, "06-30").hba1c(1, "06-01", float("inf"), mark=omop.BELOW)
    done = take(clinic.write(), HEAD + HBA1C + YEAR + VALUE)
    assert (values(done)["hba1c"], values(done)["hba1c_below"]) == ([None], [None])
    assert "a record whose number is infinite or none" in column(done, "hba1c").reasons


def test_what_is_wrong_with_a_database_is_said_before_anything_is_stored(clinic: Clinic, take, tmp_path: Path) -> None:
    text = HEAD + TIMES
    with pytest.raises(SourceError, match=r"there is no file gone\.db"):
        take(f"sqlite:///{tmp_path / 'gone.db'}", text)
    assert not (tmp_path / "gone.db").exists()
    clinic.person(1)
    url = clinic.write()
    with pytest.raises(SourceError, match=r"nobody is in the cohort of c\.toml\. Left out of 1: no index event: 1"):
        take(url, text)
    for wrong, message in (
        ("include = [1201820]", r"c\.toml: concepts\.diabetes: .* no concept 1201820"),
        ('codes = ["s|1"]', r"c\.toml: concepts\.diabetes\.include: an OMOP database needs concept IDs"),
        ("include = [443727]", r"c\.toml: concepts\.diabetes: everything that it includes is excluded again"),
    ):
        changed = text.replace("include = [201820]", wrong).replace("[201254]", "[201826]")
        with pytest.raises(DeclarationError, match=message):
            take(url, changed)
    change(clinic, "ALTER TABLE death RENAME COLUMN death_date TO day")
    with pytest.raises(SourceError, match="table death of the database has no column death_date"):
        take(url, text)
    change(clinic, "DROP TABLE death")
    with pytest.raises(SourceError, match=r"has no table death that this user can see.*--cdm-schema"):
        take(url, text)
    with pytest.raises(SourceError, match="PostgreSQL and SQLite; this is mysql"):
        sql_of("mysql+pymysql://u:p@h/d", cohort(text))
    assert DatasetStore(tmp_path / "data").list() == ()


def test_the_sql_is_shown_with_its_values_and_no_connection(tmp_path: Path) -> None:
    sql = sql_of(f"sqlite:///{tmp_path / 'gone.db'}", cohort(omop.COHORT))
    assert not (tmp_path / "gone.db").exists()
    assert sql.count("concept_ancestor.ancestor_concept_id IN (201820)") == 3
    assert "-- step 1: first event not from 2011-01-01 to 2014-12-31" in sql
    assert "unit = 'mmol/mol'" in sql
    in_schemas = CohortOptions(
        kind="omop", name="c.toml", text=omop.COHORT, cdm_schema="cdm", vocabulary_schema="vocabulary"
    )
    spelt = sql_of("postgresql://u:secret@h/d", in_schemas)
    assert "FROM cdm.condition_occurrence" in spelt
    assert "FROM vocabulary.concept_ancestor" in spelt
    assert "secret" not in spelt
