"""Parquet, Excel, SQL and MongoDB give the same dataset as the same table in CSV."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import mongomock
import numpy as np
import polars as pl
import pytest
import sqlalchemy

from participant.data.model.errors import SourceError
from participant.data.pipeline.importing import import_table
from participant.data.sources import TableSource
from participant.data.sources.choose import Options, open_source
from participant.data.sources.csv import CsvSource
from participant.data.sources.frame import FrameSource
from participant.data.sources.mongo import MongoSource
from participant.data.sources.parquet import ParquetSource
from participant.data.sources.spreadsheet import SpreadsheetSource
from participant.data.sources.sql import SqlSource
from participant.data.store.store import DatasetStore
from tests.support.tables import NOW

TABLE = pl.DataFrame(
    {
        "age": [61, None, 70],
        "score": [0.5, 1e-3, -2.25],
        "ward": ["A", "B, C", None],
        "seen": [date(2020, 1, 31), None, date(1999, 12, 1)],
        "smoker": [True, False, None],
    }
)


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    return DatasetStore(tmp_path / "data")


def from_csv(folder: Path) -> TableSource:
    TABLE.write_csv(folder / "t.csv")
    return CsvSource(folder / "t.csv")


def from_parquet(folder: Path) -> TableSource:
    TABLE.write_parquet(folder / "t.parquet")
    return ParquetSource(folder / "t.parquet")


def from_excel(folder: Path) -> TableSource:
    workbook(
        folder / "t.xlsx", [TABLE.columns, *([None if v is None else str(v) for v in row] for row in TABLE.rows())]
    )
    return SpreadsheetSource(folder / "t.xlsx")


def from_sql(folder: Path) -> TableSource:
    url = f"sqlite:///{folder / 'secret.db'}"
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table t (age int, score real, ward text, seen date, smoker text)"))
        for age, score, ward, seen, smoker in TABLE.rows():
            connection.execute(
                sqlalchemy.text("insert into t values (:a, :b, :c, :d, :e)"),
                {
                    "a": age,
                    "b": score,
                    "c": ward,
                    "d": seen and seen.isoformat(),
                    "e": None if smoker is None else str(smoker),
                },
            )
    engine.dispose()
    return SqlSource(url, table="t")


def from_mongo(folder: Path) -> TableSource:
    collection = mongomock.MongoClient()["clinic"]["patients"]
    collection.insert_many(
        {k: v.isoformat() if isinstance(v, date) else v for k, v in row.items() if v is not None}
        for row in TABLE.to_dicts()
    )
    return MongoSource(collection)


@pytest.mark.parametrize("make", [from_csv, from_parquet, from_excel, from_sql, from_mongo])
def test_every_source_gives_the_same_dataset(
    store: DatasetStore, tmp_path: Path, make: Callable[[Path], TableSource]
) -> None:
    source = make(tmp_path)
    done = import_table(store, "t", source, imported_at=NOW)
    stored = pl.read_parquet(done.folder / "data.parquet").select(TABLE.columns)
    assert stored.cast(TABLE.schema).equals(TABLE)
    assert store.verify("t") == done.description
    np.testing.assert_array_equal(store.load("t", ["smoker"])["smoker"], [1, 0, np.nan])
    assert done.facts.origin == source.origin()
    assert done.description.source.kind == source.origin().kind


def test_a_query(store: DatasetStore, tmp_path: Path) -> None:
    from_sql(tmp_path)
    url = f"sqlite:///{tmp_path / 'secret.db'}"
    source = SqlSource(url, query="select age as years from t where age > 65")
    done = import_table(store, "t", source, imported_at=NOW)
    assert store.load("t", ["years"])["years"].tolist() == [70]
    stored = (done.folder / "description.json").read_text() + (done.folder / "report.html").read_text()
    assert "select age" not in stored


def test_database_types_become_text_that_is_read_back(store: DatasetStore) -> None:
    collection = mongomock.MongoClient()["clinic"]["patients"]
    collection.insert_one({"a": {"b": {"c": 1}, "d": Decimal("2.50").__str__()}, "late": "x"})
    collection.insert_one({"a": {"b": {"c": 2}}, "new": True})
    done = import_table(store, "t", MongoSource(collection), imported_at=NOW)
    assert [column.name for column in done.description.columns] == ["a.b.c", "a.d", "late", "new"]
    np.testing.assert_array_equal(store.load("t", ["a.b.c"])["a.b.c"], [1, 2])
    np.testing.assert_array_equal(store.load("t", ["a.d"])["a.d"], [2.5, np.nan])


@pytest.mark.parametrize(
    ("place", "options", "complaint"),
    [
        ("t.csv", {}, "no file t.csv"),
        ("sqlite:///t.db", {}, "name a table"),
        ("sqlite:///t.db", {"table": "a", "query": "select 1"}, "name a table"),
        ("sqlite:////nowhere/t.db", {"table": "a"}, "the database cannot be read"),
        ("nosuch://user:hunter2@host/db", {"table": "a"}, "the address cannot be used"),
        ("postgresql+asyncpg://user:hunter2@127.0.0.1:1/db", {"table": "a"}, "asynchronous"),
        ("mongodb://user:hunter2@127.0.0.1:1/", {"collection": "a"}, "name the collection"),
    ],
)
def test_places_that_are_no_source(place: str, options: dict, complaint: str) -> None:
    """An error that quotes a database's address shows its password."""
    with pytest.raises(SourceError, match=complaint) as caught:
        open_source(place, Options(**options))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_sources_read_in_batches(store: DatasetStore, tmp_path: Path, monkeypatch, rows: int) -> None:
    for module in ("parquet", "spreadsheet", "sql", "mongo"):
        monkeypatch.setattr(f"participant.data.sources.{module}.batch_rows", lambda columns: rows)
    for make in (from_parquet, from_excel, from_sql, from_mongo):
        (tmp_path / make.__name__).mkdir()
        done = import_table(store, "t", make(tmp_path / make.__name__), imported_at=NOW)
        stored = pl.read_parquet(done.folder / "data.parquet").select(TABLE.columns)
        assert stored.cast(TABLE.schema).equals(TABLE)


def workbook(path: Path, rows: list[list[str | None]]) -> None:
    """Write a workbook of one sheet with inline text, as the format's standard has it."""
    from xml.sax.saxutils import escape

    def cell(number: int, row: int, value: str | None) -> str:
        place = f"{chr(65 + number)}{row}"
        return "" if value is None else f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'

    sheet = "".join(
        f'<row r="{row}">{"".join(cell(number, row, value) for number, value in enumerate(cells))}</row>'
        for row, cells in enumerate(rows, 1)
    )
    write_archive(path, f"<sheetData>{sheet}</sheetData>")


def write_archive(path: Path, sheet: str, **more: bytes) -> None:
    import zipfile

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{package}/content-types"/>')
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{relations}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets><sheet name="one" sheetId="1" r:id="r1"/></sheets>'
            "</workbook>",
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{relations}/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        archive.writestr("xl/worksheets/sheet1.xml", f'<worksheet xmlns="{main}">{sheet}</worksheet>')
        for name, content in more.items():
            archive.writestr(name, content)


def test_a_column_in_memory_has_one_value_per_row() -> None:
    with pytest.raises(SourceError, match="a column has 2 dimensions; give one value per row"):
        FrameSource({"age": np.zeros((3, 2))}, "lung")
