import json
import os
from multiprocessing import get_context
from pathlib import Path
from stat import S_IMODE

import numpy as np
import polars as pl
import pytest

from participant.data.model.description import ColumnKind
from participant.data.model.errors import (
    DamagedDatasetError,
    DatasetError,
    DatasetNameError,
    DeclarationError,
    HeaderError,
    InsecureFolderError,
    NoSuchDatasetError,
    NotNumericError,
    SourceError,
)
from participant.data.pipeline.importing import import_table
from participant.data.sources.csv import CsvSource
from participant.data.store import store as store_module
from participant.data.store.store import DatasetStore
from participant.statistics.evaluation.evaluate import MissingColumnsError
from tests.support.tables import NOW, import_csv

CSV = b"age,sex,score,ward\n61,1,0.5,A\n,2,1e-3,NA\n70,1,NA,C\n"


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    return DatasetStore(tmp_path / "data")


@pytest.fixture
def imported(store: DatasetStore, tmp_path: Path):
    """Import bytes as dataset `lung`."""

    def import_bytes(data: bytes, name: str = "lung", **options):
        path = tmp_path / "table.csv"
        path.write_bytes(data)
        return import_csv(store, name, path, **options)

    return import_bytes


def test_import_describe_load(store: DatasetStore, imported) -> None:
    description = imported(CSV)
    assert (description.name, description.version, description.rows) == ("lung", 1, 3)
    assert [(column.name, column.kind, column.missing) for column in description.columns] == [
        ("age", ColumnKind.INTEGER, 1),
        ("sex", ColumnKind.INTEGER, 0),
        ("score", ColumnKind.REAL, 1),
        ("ward", ColumnKind.TEXT, 1),
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


def test_other_refusals(store: DatasetStore, imported, tmp_path: Path) -> None:
    with pytest.raises(DatasetNameError):
        imported(CSV, name="../lung")
    with pytest.raises(DeclarationError, match="no column height"):
        imported(CSV, columns={"height": {"type": "real"}})
    with pytest.raises(ValueError, match="timezone"):
        import_table(store, "lung", CsvSource(tmp_path / "table.csv"), imported_at=NOW.replace(tzinfo=None))
    assert not list((tmp_path / "data").glob("*/*"))
    imported(CSV)
    with pytest.raises(MissingColumnsError, match="or lacks them: height, weight"):
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
    with pytest.raises(DamagedDatasetError, match="do not match their description"):
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

    monkeypatch.setattr(store_module, "sync_folder", full)
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
    return import_csv(DatasetStore(folder), "lung", path).version


def test_two_processes_import_at_once(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(CSV)
    with get_context("spawn").Pool(2) as pool:
        versions = pool.starmap(_import_once, [(tmp_path / "data", path)] * 6)
    assert sorted(versions) == [1, 2, 3, 4, 5, 6]


def test_every_error_is_a_dataset_error() -> None:
    for error in (SourceError, HeaderError, DeclarationError, NotNumericError, NoSuchDatasetError, DamagedDatasetError):
        assert issubclass(error, DatasetError)


def test_what_is_stored_is_parquet(imported, tmp_path: Path) -> None:
    imported(CSV)
    table = pl.read_parquet(tmp_path / "data/lung/1/data.parquet")
    assert table.schema == {"age": pl.Int8, "sex": pl.Int8, "score": pl.Float64, "ward": pl.String}
