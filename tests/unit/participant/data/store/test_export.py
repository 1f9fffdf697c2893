"""Exporting a dataset as a CSV file: the same table, or no file."""

from datetime import date
from pathlib import Path
from stat import S_IMODE

import polars as pl
import pytest

from participant.data.model.errors import DatasetError
from participant.data.pipeline.importing import import_table
from participant.data.sources.choose import open_source
from participant.data.sources.frame import FrameSource
from participant.data.store import export as export_module
from participant.data.store.export import export_csv
from participant.data.store.store import DatasetStore
from tests.support.tables import NOW

TABLE = {
    "x": [1 / 3, None, 1.52e-11, 0.1 + 0.2],
    "n": [1, 2, None, 2**40],
    "day": [date(2020, 1, 31), None, date(1582, 10, 15), date(2199, 1, 1)],
    "ward": ["Süd, Ost", 'the "old" one', None, "007"],
    "well": [True, False, None, True],
}


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    store = DatasetStore(tmp_path / "data")
    import_table(store, "t", FrameSource(pl.DataFrame(TABLE)), imported_at=NOW, pictures=False)
    return store


def test_the_file_is_the_table_and_is_imported_again_as_it(store: DatasetStore, tmp_path: Path) -> None:
    done = export_csv(store, "t", tmp_path)
    assert (done.path, done.rows, done.version) == (tmp_path / "cleaned_t_1.csv", 4, 1)
    assert S_IMODE(done.path.stat().st_mode) == 0o600
    again = import_table(store, "t", open_source(str(done.path)), imported_at=NOW, pictures=False)
    assert pl.read_parquet(again.folder / "data.parquet").to_dict(as_series=False) == TABLE
    assert again.description.source.sha256 == done.sha256


def test_a_file_is_never_written_over(store: DatasetStore, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    with pytest.raises(DatasetError, match="is there already"):
        export_csv(store, "t", tmp_path / "mine.csv")
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_a_file_that_differs_gets_no_name(store: DatasetStore, tmp_path: Path, monkeypatch) -> None:
    scan = pl.scan_csv

    def torn(path: Path, **options) -> pl.LazyFrame:
        path.write_text(path.read_text().replace("Süd", "Sud"))
        return scan(path, **options)

    monkeypatch.setattr(export_module.pl, "scan_csv", torn)
    with pytest.raises(DatasetError, match="is not what is stored; nothing was exported"):
        export_csv(store, "t", tmp_path / "t.csv")
    assert [*tmp_path.glob("t.csv*")] == []
