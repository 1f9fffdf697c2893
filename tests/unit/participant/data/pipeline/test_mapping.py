"""A site's columns become a project's variables: mapped and checked once, then applied to every later import."""

from pathlib import Path

import numpy as np
import pytest

from participant.data.model.errors import BadRowsError, DeclarationError
from participant.data.pipeline.importing import import_table, map_dataset
from participant.data.pipeline.mapping import NAME, Mapping, definitions_of, of_version
from participant.data.sources.csv import CsvSource
from participant.data.store.store import DatasetStore
from participant.statistics.language.definitions import Definition
from tests.support.tables import NOW, imported

DEFINITIONS = """
[[variables]]
code = "weight"
label = "Body weight"
type = "real"
unit = "kg"
low = 20
high = 300

[[variables]]
code = "sex"
label = "Sex at birth"
type = "category"
categories = [{ number = 1, label = "male" }, { number = 2, label = "female" }]

[[variables]]
code = "smoker"
label = "Smokes"
type = "boolean"
"""
MAPPING = """
keep = ["age"]
[variables.weight]
column = "Gewicht"
factor = 0.001
[variables.sex]
column = "Geschlecht"
categories = { m = 1, w = 2 }
[variables.smoker]
column = "Raucher"
"""
TABLE = "Gewicht,Geschlecht,Raucher,age,zip\n72500,m,ja,60,1\n61000,w,nein,,2\n"


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    return DatasetStore(tmp_path / "data")


@pytest.fixture
def definitions(tmp_path: Path) -> tuple[Definition, ...]:
    (tmp_path / "definitions.toml").write_text(DEFINITIONS)
    return definitions_of(tmp_path / "definitions.toml")


def read(folder: Path, text: str, definitions: tuple[Definition, ...]) -> Mapping:
    (folder / "mapping.toml").write_text(text)
    return Mapping.read(folder / "mapping.toml", definitions)


def take(store: DatasetStore, folder: Path, text: str, **options):
    (folder / "t.csv").write_text(text)
    return imported(store, "t", folder / "t.csv", **options)


def test_mapped_columns_are_the_next_version(store: DatasetStore, tmp_path: Path, definitions) -> None:
    take(store, tmp_path, TABLE)
    mapping = read(tmp_path, MAPPING, definitions)
    done = map_dataset(store, "t", mapping, mapped_at=NOW)
    assert done.description.version == 2
    assert [column.name for column in done.description.columns] == ["sex", "smoker", "weight", "age"]
    assert [done.description.columns[n].means(definitions[n]) for n in range(3)] == [True, True, True]
    loaded = store.load("t", ["sex", "smoker", "weight", "age"])
    assert {name: values.tolist()[0] for name, values in loaded.items()} == {
        "sex": 1, "smoker": 1, "weight": 72.5, "age": 60,
    }  # fmt: skip
    assert done.description.source.name == "t version 1"
    assert of_version(store, "t") == mapping
    # The next import of the table is mapped in the same way, from load to report.
    (tmp_path / "t.csv").write_text(TABLE + "80000,m,nein,61,3\n")
    again = import_table(store, "t", CsvSource(tmp_path / "t.csv"), imported_at=NOW, mapping=of_version(store, "t"))
    assert (again.description.version, again.description.mapping) == (3, mapping.digest)
    np.testing.assert_array_equal(store.load("t", ["weight"])["weight"], [72.5, 61.0, 80.0])


def test_values_that_a_definition_does_not_allow_are_bad_rows(store: DatasetStore, tmp_path: Path, definitions) -> None:
    take(store, tmp_path, TABLE + "5,d,ja,1,3\n")
    mapping = read(tmp_path, MAPPING, definitions)
    with pytest.raises(BadRowsError, match="1 of 3 rows"):
        map_dataset(store, "t", mapping, mapped_at=NOW)
    assert store.describe("t").version == 1
    done = map_dataset(store, "t", mapping, mapped_at=NOW, bad_rows=0.5)
    assert done.description.rows == 2
    listed = (done.folder / "bad-rows.csv").read_text()
    assert "3,Geschlecht,sex: has no category,d" in listed
    assert "3,Gewicht,weight: below 20,5" in listed


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (MAPPING.replace("variables.sex", "variables.gender"), "defines no variable gender"),
        (MAPPING.replace("w = 2", "w = 3"), "sex: the project has no category 3"),
        (MAPPING.replace("factor = 0.001", "factor = 0"), "a factor must not be 0"),
        (MAPPING.replace("factor", "times"), "is unknown; known are categories, column, factor, offset"),
        (MAPPING.replace('"Gewicht"', '"Masse"'), "no column Masse"),
        (MAPPING.replace('"Gewicht"', '"Geschlecht"'), "weight: column Geschlecht is text and cannot be real"),
        (MAPPING.replace("categories = { m = 1, w = 2 }", ""), "say which number each value is"),
        (MAPPING.replace('["age"]', '["sex"]'), "sex is a variable and cannot be kept"),
    ],
)
def test_a_wrong_mapping_says_where(
    store: DatasetStore, tmp_path: Path, definitions, text: str, complaint: str
) -> None:
    take(store, tmp_path, TABLE)
    with pytest.raises(DeclarationError, match=complaint):
        map_dataset(store, "t", read(tmp_path, text, definitions), mapped_at=NOW)
    assert store.describe("t").version == 1


def test_a_unit_that_differs_needs_a_factor(store: DatasetStore, tmp_path: Path, definitions) -> None:
    take(store, tmp_path, TABLE.replace("Gewicht,", "Gewicht [g],"))
    with pytest.raises(DeclarationError, match="is in g, the project asks for kg: say the factor"):
        map_dataset(store, "t", read(tmp_path, MAPPING.replace("factor = 0.001", ""), definitions), mapped_at=NOW)


def test_a_changed_mapping_is_noticed(store: DatasetStore, tmp_path: Path, definitions) -> None:
    take(store, tmp_path, TABLE)
    done = map_dataset(store, "t", read(tmp_path, MAPPING, definitions), mapped_at=NOW)
    path = done.folder / NAME
    path.write_text(path.read_text().replace("0.001", "0.002"))
    with pytest.raises(Exception, match="missing or was changed"):
        of_version(store, "t")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "category"},
        {"type": "text"},
        {"low": 3.0, "high": 1.0},
        {"code": "no name"},
        {"categories": ({"number": 1, "label": "x"},)},
        {"label": "line\nfeed"},
    ],
)
def test_definitions_that_mean_nothing(changes: dict) -> None:
    with pytest.raises(ValueError):
        Definition.model_validate({"code": "a", "label": "A", "type": "real", **changes}, strict=False)
