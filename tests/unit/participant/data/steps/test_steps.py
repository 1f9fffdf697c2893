"""Names, duplicates, persons and the strictness rule, over whole imports."""

from pathlib import Path

import numpy as np
import pytest

from participant.data.model.declaration import Declaration
from participant.data.model.errors import BadRowsError, DeclarationError, HeaderError
from participant.data.steps import names as names_step
from participant.data.steps.bad_rows import disarmed
from participant.data.store.store import DatasetStore
from tests.support.tables import imported


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    return DatasetStore(tmp_path / "data")


@pytest.fixture
def take(store: DatasetStore, tmp_path: Path):
    def take(text: str, **options):
        (tmp_path / "table.csv").write_text(text)
        return imported(store, "t", tmp_path / "table.csv", **options)

    return take


def named(*header: str, **declared) -> list[str]:
    declaration = Declaration.model_validate(declared, strict=False)
    return [column.name for column in names_step.standardise(header, declaration)]


def test_names() -> None:
    assert named("age", "T.stage-2") == ["age", "T.stage-2"]  # proper ones stay
    assert named("Größe (cm)", "2nd visit", "Ärztin / Arzt", "α-Wert") == [
        "Groesse",
        "x_2nd_visit",
        "Aerztin_Arzt",
        "Wert",
    ]
    assert named("age", "age", "AGE") == ["age", "age_2", "AGE"]
    assert named("x" * 200) == ["x" * 60]
    assert named("Geschl.", columns={"sex": {"header": "Geschl."}}) == ["sex"]
    assert named("a", "b", "c", columns={"b": {}}, person="c", others="drop") == ["b", "c"]
    (column,) = names_step.standardise(["Gewicht [kg]"], Declaration())
    assert (column.name, column.unit, column.header) == ("Gewicht", "kg", "Gewicht [kg]")


@pytest.mark.parametrize("header", [["1.5", "2"], ["", ""], ["2020-01-01", "b"], ["---"], ["2019", "2020"]])
def test_a_row_is_no_header(header: list[str]) -> None:
    with pytest.raises(HeaderError, match="Is the first line a header"):
        named(*header)


def test_a_declared_column_must_be_there() -> None:
    with pytest.raises(DeclarationError, match="no column b; its first line names 1 others"):
        named("a", columns={"b": {}})
    with pytest.raises(DeclarationError, match="no column id"):
        named("a", person="id")


def test_equal_rows_stay_without_a_key(take, store: DatasetStore) -> None:
    done = take("sex,age\n1,60\n1,60\n2,61\n1,60\n")
    assert (done.description.rows, done.facts.same, done.facts.bad) == (4, 2, 0)


def test_with_a_key_repeated_rows_go_and_conflicting_ones_are_bad(take, store: DatasetStore) -> None:
    table = "id,age\na,60\nb,61\na,60\nc,62\nc,63\nd,64\n"
    with pytest.raises(BadRowsError, match="2 of 6 rows are bad"):
        take(table, key=["id"])
    done = take(table, key=["id"], bad_rows=0.5)
    assert store.load("t", ["age"])["age"].tolist() == [60, 61, 64]
    assert (done.facts.repeated, done.facts.bad) == (1, 2)
    listed = (done.folder / "bad-rows.csv").read_text()
    assert "4,,the same as line 2," in listed
    assert listed.count("the key is that of 2 rows that differ, first on line 5") == 2


def test_persons_get_numbers_and_their_identifiers_are_not_stored(take, store: DatasetStore) -> None:
    table = "patient,visit,age\nMRN-77,1,60\nMRN-12,1,61\nMRN-77,2,60\n"
    done = take(table, person="patient", key=["patient", "visit"])
    assert store.load("t", ["patient"])["patient"].tolist() == [1, 2, 1]
    assert done.facts.persons == 2
    for file in done.folder.iterdir():
        assert b"MRN-" not in file.read_bytes(), file
    with pytest.raises(BadRowsError):
        take("patient,age\n,60\nb,61\n", person="patient")


def test_the_strictness_rule(take, store: DatasetStore, tmp_path: Path) -> None:
    table = "age\n" + "60\n" * 98 + "200\n-1\n"
    rule = {"columns": {"age": {"type": "integer", "low": 0, "high": 120}}}
    with pytest.raises(BadRowsError, match=r"2 of 100 rows are bad, and 1.00% may be") as caught:
        take(table, bad_rows=0.01, **rule)
    assert caught.value.folder == tmp_path / "data/t/refused"
    assert {file.name for file in caught.value.folder.iterdir()} == {
        "bad-rows.csv", "quality.json", "report.html", "report.md", "report.csv",
    }  # fmt: skip
    assert (caught.value.folder / "bad-rows.csv").read_text().splitlines()[1:] == [
        "101,age,below 0,-1",
        "100,age,above 120,200",
    ]
    done = take(table, bad_rows=0.02, **rule)
    assert (done.description.rows, done.description.bad_rows) == (98, 2)
    np.testing.assert_array_equal(store.load("t", ["age"])["age"], np.full(98, 60))
    store.drop("t")
    assert not (tmp_path / "data/t/refused").exists()


def test_a_table_of_bad_rows_alone_is_refused_with_a_report(take) -> None:
    with pytest.raises(BadRowsError, match="2 of 2 rows"):
        take("a,b\n1\n2\n", bad_rows=0.99)


@pytest.mark.parametrize(
    ("cell", "safe"),
    [("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("+cmd|x", "'+cmd|x"), ("\t=1", "'\t=1"), ("\uff1d1", "'\uff1d1"),
     ("-5.2", "-5.2"), ("+1e5", "+1e5"), ("plain", "plain"), ("", "")],
)  # fmt: skip
def test_cells_of_our_own_lists_are_disarmed(cell: str, safe: str) -> None:
    assert disarmed(cell) == safe


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[columns.a]\ntype = 'number'", "columns.a.type"),
        ("[columns.a]\nlow = 5\nhigh = 1", "low <= high"),
        ("[columns.a]\ntype = 'category'", "a category needs categories"),
        ("[columns.a]\ntype = 'text'\nunit = 'kg'", "belong to numbers"),
        ("[columns.a]\nunits = { g = 0 }", "a factor must not be 0"),
        ("column = 1", "column is unknown; did you mean columns"),
        ("bad_rows = 1.0", "bad_rows"),
        ("not toml", "not a TOML file"),
    ],
)
def test_a_wrong_declaration_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "d.toml"
    path.write_text(text)
    with pytest.raises(DeclarationError, match=complaint):
        Declaration.read(path)
    with pytest.raises(DeclarationError, match="no file"):
        Declaration.read(tmp_path / "gone.toml")
