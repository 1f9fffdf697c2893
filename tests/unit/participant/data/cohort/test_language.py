"""A cohort file is read strictly: every mistake is named with its place, before anything is asked of a database."""

import re
from datetime import date
from pathlib import Path

import pytest

from participant.data.cohort.choose import CohortOptions
from participant.data.cohort.language import CohortFile
from participant.data.model.errors import DeclarationError, SourceError
from tests.support.omop import COHORT


def parse(text: str):
    return CohortFile(name="c.toml", text=text).parse()


def test_a_cohort_says_what_its_columns_are() -> None:
    cohort = parse(COHORT)
    assert cohort.columns == (
        *("infarction_time", "infarction_event", "death_time", "death_event", "age", "sex", "hypertension"),
        *("metformin", "hba1c", "hba1c_below", "hba1c_above"),
    )
    assert cohort.index.dates == (date(2011, 1, 1), date(2014, 12, 31))
    assert cohort.exclude["heart_failure"].first is None


MISTAKES = {
    "not TOML": ("[index]", "[index", r"c\.toml is not a TOML file: .*line \d+, column \d+"),
    "a misspelt member": ("observed = 180", "observd = 180", r"index\.observd .*observed"),
    "text for a number": ("observed = 180", 'observed = "180"', r"index\.observed must be"),
    "a number for a date": ("dates = [2011-01-01,", "dates = [2011,", r"index\.dates\.0"),
    "a date with a time": ("dates = [2011-01-01,", "dates = [2011-01-01T10:00:00,", r"index\.dates\.0"),
    "dates in the wrong order": ("2014-12-31]", "2010-12-31]", r"index.*the last one is before the first one"),
    "ages in the wrong order": ("age = [18, 90]", "age = [90, 18]", r"index.*the highest one is below the lowest one"),
    "an unknown kind of record": ('event = "drug"', 'event = "drugs"', r"variables\.metformin\.event"),
    "an unknown set": (
        'concepts = "metformin"',
        'concepts = "metformine"',
        r"variables\.metformin\.concepts = 'metformine'",
    ),
    "a set of no use": (
        "[concepts.metformin]",
        "[concepts.x]\ninclude = [1]\n[concepts.metformin]",
        r"concepts\.x is used nowhere",
    ),
    "an empty set": ("include = [1503297]", "", r"concepts\.metformin.*needs include"),
    "a concept in and out": ("exclude = [201254]", "exclude = [201820]", r"201820 is included and excluded"),
    "a concept that is no ID": ("include = [201820]", 'include = ["201820"]', r"concepts\.diabetes\.include\.0"),
    "a window that ends before it begins": (
        "days = [-180, 0]",
        "days = [0, -180]",
        r"variables\.metformin.*ends before it begins",
    ),
    "a window with one end": ("days = [-180, 0]", "days = [-180]", r"variables\.metformin\.days"),
    "an unknown statistic": ('statistic = "count"', 'statistic = "number"', r"variables\.metformin\.statistic"),
    "a value of a drug": (
        'statistic = "count"',
        'statistic = "last"\nunit = "1"',
        r"records of kind drug have no values",
    ),
    "a value without a unit": ('unit = "%"', "", r"variables\.hba1c.*needs a unit"),
    "a unit of a count": (
        'statistic = "count"',
        'statistic = "count"\nunit = "1"',
        r"unit belongs to statistics of values",
    ),
    "a conversion of the own unit": ('"mmol/mol" =', '"%" =', r"% is the variable's own unit"),
    "a negative factor": ("factor = 0.09148", "factor = -1", r"factor must be positive"),
    "a variable of nothing": ('of = "age"', 'label = "age"', r"variables\.age.*needs of ="),
    "a variable of two things": ('of = "age"', 'of = "age"\nstatistic = "last"', r"variables\.age.*no other members"),
    "an outcome of nothing": ('event = "death"', 'event = "condition"', r"outcomes\.death.*a death, or has concepts"),
    "a death that censors itself": ('event = "death"', 'event = "death"\ndeath = "competes"', r"here it is the event"),
    "a name in capitals": ("[variables.metformin]", "[variables.Metformin]", r"variables\.Metformin"),
    "two columns of a name": ("[variables.age]", "[variables.death_time]", r"two columns would be called death_time"),
    "follow-up of no day": ("days = 1825", "days = 0", r"follow_up\.days"),
    "no index": ('[index]\nevent = "condition"', '[idx]\nevent = "condition"', r"index"),
    "a code without its system": ("include = [1503297]", 'codes = ["A10BA02"]', r"concepts\.metformin\.codes\.0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_place(name: str) -> None:
    right, wrong, message = MISTAKES[name]
    assert COHORT.count(right) == 1
    with pytest.raises(DeclarationError, match=message) as caught:
        parse(COHORT.replace(right, wrong))
    assert str(caught.value).startswith("c.toml")
    assert not re.search(r"pydantic|validator|Input should", str(caught.value))


SMALL = """
[concepts.hba1c]
include = [3004410]
[index]
event = "measurement"
concepts = "hba1c"
"""
LAST_VALUE = """
[variables.hba1c]
event = "measurement"
concepts = "hba1c"
days = [0, 0]
statistic = "last"
unit = "%"
"""


def test_a_cohort_without_a_column_that_everybody_has_is_refused() -> None:
    with pytest.raises(DeclarationError, match="would have no column"):
        parse(SMALL)
    with pytest.raises(DeclarationError, match="a column that everybody has"):
        parse(SMALL + LAST_VALUE)
    assert parse(f'{SMALL}{LAST_VALUE}[variables.year]\nof = "year"').columns[-1] == "year"


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="there is no file"):
        CohortOptions.of("omop", tmp_path / "c.toml")
    (tmp_path / "c.toml").write_bytes(b"label = '\xff'")
    with pytest.raises(DeclarationError, match=r"c\.toml is not text in UTF-8: byte 9"):
        CohortOptions.of("omop", tmp_path / "c.toml")
    (tmp_path / "c.toml").write_text(COHORT)
    with pytest.raises(SourceError, match="belong to OMOP databases"):
        CohortOptions.of("fhir", tmp_path / "c.toml", cdm_schema="cdm")


def test_the_guide_s_example_is_a_cohort() -> None:
    page = Path("docs/how-to/cohort.md").read_text()
    cohort = parse(page.partition("```toml\n")[2].partition("```")[0])
    assert cohort.columns[:2] == ("infarction_time", "infarction_event")
