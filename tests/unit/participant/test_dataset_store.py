import json
import os
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from stat import S_IMODE

import numpy as np
import polars as pl
import pytest

from participant.data import (
    DamagedDatasetError,
    DatasetError,
    DatasetNameError,
    DatasetStore,
    HeaderError,
    InsecureFolderError,
    Kind,
    NoSuchDatasetError,
    NotNumericError,
    SourceError,
)
from participant.data import store as store_module
from participant.statistics import MissingColumnsError

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
CSV = b"age,sex,score,ward\n61,1,0.5,A\n,2,1e-3,NA\n70,1,NA,C\n"


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    return DatasetStore(tmp_path / "data")


@pytest.fixture
def imported(store: DatasetStore, tmp_path: Path):
    """Import bytes as dataset `lung`."""

    def import_bytes(data: bytes, **options):
        path = tmp_path / "table.csv"
        path.write_bytes(data)
        return store.import_csv("lung", path, imported_at=NOW, **options)

    return import_bytes


def test_import_describe_load(store: DatasetStore, imported) -> None:
    description = imported(CSV)
    assert (description.name, description.version, description.rows) == ("lung", 1, 3)
    assert [(column.name, column.kind, column.missing) for column in description.columns] == [
        ("age", Kind.INTEGER, 1),
        ("sex", Kind.INTEGER, 0),
        ("score", Kind.REAL, 1),
        ("ward", Kind.TEXT, 1),
    ]
    assert description.numeric == ("age", "sex", "score")
    assert (description.source.name, description.source.bytes) == ("table.csv", len(CSV))
    assert description.imported_at == NOW
    assert store.describe("lung") == store.verify("lung") == description
    assert store.list() == (description,)
    columns = store.load("lung", ["score", "age"])
    np.testing.assert_array_equal(columns["age"], [61, np.nan, 70])
    np.testing.assert_array_equal(columns["score"], [0.5, 1e-3, np.nan])
    assert all(column.dtype == np.float64 for column in columns.values())


def test_versions(store: DatasetStore, imported) -> None:
    imported(CSV)
    second = imported(b"age\n1\n")
    assert (second.version, store.describe("lung"), store.describe("lung", 1).rows) == (2, second, 3)
    assert store.load("lung", ["age"])["age"].tolist() == [1]
    assert len(store.load("lung", ["age"], version=1)["age"]) == 3
    store.drop("lung", 2)
    assert store.describe("lung").version == 1
    with pytest.raises(NoSuchDatasetError, match="no version 2 of dataset lung"):
        store.load("lung", ["age"], version=2)
    assert imported(CSV).version == 3  # a number means one table for ever
    store.drop("lung")
    assert store.list() == ()
    with pytest.raises(NoSuchDatasetError, match="no dataset lung"):
        store.describe("lung")
    with pytest.raises(NoSuchDatasetError):
        store.drop("lung")


def test_only_the_owner_can_read(store: DatasetStore, imported, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        imported(CSV)
    finally:
        os.umask(old)
    for path in (tmp_path / "data").rglob("*"):
        assert S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(InsecureFolderError, match="chmod 700"):
        DatasetStore(tmp_path / "open")


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfage,sex\r\n1,2\r\n",
        b"age,sex\n1,2",
        b"age,sex\n 1 ,2\t\n\n\n",
        b'"age","sex"\n"1","2"\n',
        b"age,sex\n+1.0e0,2.\n",
    ],
    ids=["bom and crlf", "no last line feed", "blanks", "quoted", "forms of numbers"],
)
def test_regular_files(store: DatasetStore, imported, data: bytes) -> None:
    imported(data)
    assert {name: column.tolist() for name, column in store.load("lung", ["age", "sex"]).items()} == {
        "age": [1.0],
        "sex": [2.0],
    }


@pytest.mark.parametrize("separator", [";", "\t", "|", "^", "]", "$"])
def test_separators(store: DatasetStore, imported, separator: str) -> None:
    imported(f'age{separator}ward\n1{separator}"a{separator}b"\n'.encode(), separator=separator)
    assert store.load("lung", ["age"])["age"].tolist() == [1]


def test_missing_codes(store: DatasetStore, imported) -> None:
    description = imported(b"age,ward\n-9,x\n.,\n5,-9\n", missing=["-9", "."])
    assert [column.missing for column in description.columns] == [2, 2]
    np.testing.assert_array_equal(store.load("lung", ["age"])["age"], [np.nan, np.nan, 5])


def test_codes_stay_text_unless_declared(store: DatasetStore, imported) -> None:
    codes = b"zip,id,empty\n00501,12345678901234567890,\n90210,2,\n"
    assert [column.kind for column in imported(codes).columns] == [Kind.TEXT, Kind.TEXT, Kind.REAL]
    assert imported(codes, numeric=["zip"]).columns[0].kind is Kind.INTEGER
    assert store.load("lung", ["zip"])["zip"].tolist() == [501, 90210]
    assert np.isnan(store.load("lung", ["empty"])["empty"]).all()


CANARY = b"7731"


@pytest.mark.parametrize(
    ("data", "error", "complaint"),
    [
        (b"", SourceError, "empty"),
        (b"\nage\n1\n", SourceError, "begins with a blank line"),
        (b"age,sex\n", SourceError, "no rows"),
        (b"age,sex\n\n\n", SourceError, "no rows"),
        (b"age,sex\n7731,2\n\n1,2\n", SourceError, "line 3 nothing"),
        (b"age,sex\n7731\n1,2\n", SourceError, "line 2 not 2 cells"),
        (b"age,sex\n1,2\n7731,2,3\n", SourceError, "line 3 not 2 cells"),
        (b'age,sex\n"7731\n1",2\n', SourceError, "line 2, 3 quotation marks"),
        (b'age,sex\n"7731"1,2\n', SourceError, "line 2 quotation marks"),
        (b'age,sex\n1"7731",2\n', SourceError, "line 2 quotation marks"),
        (b"age,sex\n7731,\0\n", SourceError, "NUL"),
        ("age,sex\n7731,2\n".encode("utf-16"), SourceError, "UTF-16"),
        (b"age,sex\n7731,\xfc\n", SourceError, "not UTF-8"),
        (b"age,sex\n7731,\xc3", SourceError, "not UTF-8"),
        (b"age,age\n7731,2\n", HeaderError, "more than once: age"),
        (b"7731,2\n1,2\n", HeaderError, "column 1, 2 of 2 has no proper name"),
        (b"age,\n7731,2\n", HeaderError, "column 2 of 2"),
        (b"age;sex\n7731;2\n", HeaderError, "the separator right"),
        (b'age,"sex\n7731,2\n', HeaderError, "quotation marks of the first line"),
        (b"age,sex\r7731,2\r", HeaderError, "carriage return"),
        (b"x," * 3000 + b"x\n", HeaderError, "3001 columns; at most 2000"),
        (b"x," * 600_000 + b"x\n", HeaderError, "longer than"),
    ],
)
def test_refused_files(store: DatasetStore, imported, data: bytes, error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint) as caught:
        imported(data)
    assert CANARY.decode() not in str(caught.value)
    assert store.list() == ()


@pytest.mark.parametrize("cell", ["x7731", "7731 mg", "1,5", "1_000", "nan", "inf", "1e999", "0x10", "\u0661"])
def test_a_declared_column_must_be_numeric(store: DatasetStore, imported, cell: str) -> None:
    with pytest.raises(NotNumericError, match=r"column age is not numeric: .* 1, on line 3$") as caught:
        imported(f"age;sex\n1;1\n{cell};2\n".encode(), numeric=["age"], separator=";")
    assert caught.value.lines == (3,)
    assert "7731" not in str(caught.value)
    assert store.list() == ()


def test_many_bad_cells_are_counted(imported) -> None:
    with pytest.raises(NotNumericError, match="7, on line 2, 3, 4, 5, 6 and others"):
        imported(b"age\n" + b"x\n" * 7, numeric=["age"])


def test_other_refusals(store: DatasetStore, imported, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file gone\.csv"):
        store.import_csv("lung", tmp_path / "gone.csv", imported_at=NOW)
    with pytest.raises(SourceError, match="no file"):
        store.import_csv("lung", tmp_path, imported_at=NOW)
    with pytest.raises(DatasetNameError):
        store.import_csv("../lung", tmp_path / "table.csv", imported_at=NOW)
    with pytest.raises(SourceError, match="separator"):
        imported(CSV, separator='"')
    with pytest.raises(MissingColumnsError, match="dataset lung has no column named height"):
        imported(CSV, numeric=["height"])
    with pytest.raises(ValueError, match="timezone"):
        store.import_csv("lung", tmp_path / "table.csv", imported_at=NOW.replace(tzinfo=None))
    assert not list((tmp_path / "data").glob("*/*"))
    imported(CSV)
    with pytest.raises(MissingColumnsError, match="no column named height, weight"):
        store.load("lung", ["weight", "age", "height"])
    with pytest.raises(NotNumericError, match="column ward is not numeric"):
        store.load("lung", ["age", "ward"])
    with pytest.raises(DatasetNameError):
        store.load("lung/1", ["age"])


@pytest.mark.parametrize("position", [0, 40, -1])
def test_changed_data_is_noticed(store: DatasetStore, imported, tmp_path: Path, position: int) -> None:
    imported(CSV)
    path = tmp_path / "data/lung/1/data.parquet"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    for look in (lambda: store.load("lung", ["age"]), lambda: store.verify("lung")):
        with pytest.raises(DamagedDatasetError, match="lung version 1 is missing or was changed"):
            look()
    path.unlink()
    with pytest.raises(DamagedDatasetError):
        store.load("lung", ["age"])
    store.drop("lung")


def test_a_changed_description_is_noticed(store: DatasetStore, imported, tmp_path: Path) -> None:
    imported(CSV)
    path = tmp_path / "data/lung/1/description.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"rows": 2}))
    with pytest.raises(DamagedDatasetError, match="not what is described"):
        store.verify("lung")
    path.write_text(json.dumps(document | {"version": 2}))
    with pytest.raises(DamagedDatasetError, match="another dataset"):
        store.describe("lung")
    path.write_text("{")
    with pytest.raises(DamagedDatasetError, match="cannot be read"):
        store.describe("lung")


def test_an_import_that_fails_leaves_nothing(store: DatasetStore, imported, tmp_path: Path, monkeypatch) -> None:
    imported(CSV)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "_sync", full)
    with pytest.raises(OSError, match="space"):
        imported(b"age\n1\n")
    monkeypatch.undo()
    assert store.describe("lung").version == 1
    assert not list((tmp_path / "data").glob(".import-*"))


def test_a_killed_import_is_cleared_away(store: DatasetStore, imported, tmp_path: Path) -> None:
    leftover = tmp_path / "data" / ".import-killed"
    leftover.mkdir(parents=True)
    (leftover / "data.parquet").write_bytes(b"patients")
    assert imported(CSV).version == 1
    assert not leftover.exists()


def _import_once(folder: Path, path: Path) -> int:
    return DatasetStore(folder).import_csv("lung", path, imported_at=NOW).version


def test_two_processes_import_at_once(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(CSV)
    with get_context("spawn").Pool(2) as pool:
        versions = pool.starmap(_import_once, [(tmp_path / "data", path)] * 6)
    assert sorted(versions) == [1, 2, 3, 4, 5, 6]


def test_every_error_is_a_dataset_error() -> None:
    for error in (SourceError, HeaderError, NotNumericError, NoSuchDatasetError, DamagedDatasetError):
        assert issubclass(error, DatasetError)


def test_what_is_stored_is_parquet(imported, tmp_path: Path) -> None:
    imported(CSV)
    table = pl.read_parquet(tmp_path / "data/lung/1/data.parquet")
    assert table.schema == {"age": pl.Int64, "sex": pl.Int64, "score": pl.Float64, "ward": pl.String}
