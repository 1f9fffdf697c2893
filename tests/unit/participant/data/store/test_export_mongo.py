"""Exporting a dataset as a MongoDB collection: the same values at the declared paths, or no collection."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import mongomock
import polars as pl
import pytest
from bson import ObjectId

from participant.data.model.errors import DatasetError, DeclarationError
from participant.data.pipeline.importing import import_table
from participant.data.sources.frame import FrameSource
from participant.data.sources.mongo import MongoSource
from participant.data.store import export_mongo as module
from participant.data.store.documents import Paths
from participant.data.store.export_mongo import export_mongo
from participant.data.store.store import DatasetStore
from tests.support.mongo import types_in_memory
from tests.support.tables import NOW

TABLE = {
    "x": [1 / 3, None, 1.52e-11, 0.1 + 0.2],
    "n": [1, 2, None, 2**40],
    "day": [date(2020, 1, 31), None, date(1582, 10, 15), date(2199, 1, 1)],
    "ward": ["Süd", None, "$ward", "007"],
    "well": [True, False, None, True],
}
PATHS = Paths(paths={"x": "lab.crea.value", "n": "lab.crea.n", "day": "seen"})
PLACE = "clinic.patients"


@pytest.fixture
def store(tmp_path: Path, monkeypatch) -> DatasetStore:
    types_in_memory(monkeypatch)
    store = DatasetStore(tmp_path / "data")
    import_table(store, "t", FrameSource(pl.DataFrame(TABLE)), imported_at=NOW, pictures=False)
    return store


@pytest.fixture
def patients() -> Any:
    return mongomock.MongoClient()["clinic"]["patients"]


def documents(collection: Any) -> list[dict[str, Any]]:
    return sorted(collection.find({}, {"_id": False}), key=lambda one: one["lab"]["crea"]["n"] or 1.5)


def test_values_are_at_their_paths_and_counted_by_the_server(store: DatasetStore, patients: Any) -> None:
    done = export_mongo(store, "t", patients, paths=PATHS)
    assert (done.place, done.version, done.rows, done.resumed, done.sample) == (PLACE, 1, 4, 0, 4)
    assert done.fields == (
        ("lab.crea.value", "double", 1),
        ("lab.crea.n", "long", 1),
        ("seen", "date", 1),
        ("ward", "string", 1),
        ("well", "bool", 1),
    )
    assert documents(patients)[0] == {
        "lab": {"crea": {"value": 1 / 3, "n": 1}},
        "seen": datetime(2020, 1, 31),  # noqa: DTZ001 - as pymongo reads UTC
        "ward": "Süd",
        "well": True,
    }
    assert patients.database.list_collection_names() == ["patients"]
    assert "4 documents of version 1, verified on the server" in done.in_words()


def test_the_collection_is_imported_again_as_the_table(store: DatasetStore, patients: Any) -> None:
    export_mongo(store, "t", patients)
    again = import_table(store, "again", MongoSource(patients), imported_at=NOW, pictures=False)
    assert pl.read_parquet(again.folder / "data.parquet").to_dict(as_series=False) == TABLE


def test_an_export_that_is_there_is_verified_and_not_repeated(store: DatasetStore, patients: Any) -> None:
    first = export_mongo(store, "t", patients, paths=PATHS)
    again = export_mongo(store, "t", patients, paths=PATHS)
    assert again == first._replace(resumed=4)
    patients.update_one({"ward": "Süd"}, {"$set": {"ward": "Sud"}})
    with pytest.raises(DatasetError, match=r"a sample of 4 differ\. It was changed after its export"):
        export_mongo(store, "t", patients, paths=PATHS)


def test_a_collection_is_replaced_only_if_it_is_named(store: DatasetStore, patients: Any) -> None:
    patients.insert_one({"mine": 1})
    with pytest.raises(DatasetError, match="patients exists, and nothing was written"):
        export_mongo(store, "t", patients)
    with pytest.raises(DatasetError, match=r"--replace names clinic\.others"):
        export_mongo(store, "t", patients, replace="clinic.others")
    assert [one["mine"] for one in patients.find()] == [1]
    assert export_mongo(store, "t", patients, replace=PLACE).rows == 4
    assert patients.database.list_collection_names() == ["patients"]
    assert patients.find_one({"mine": 1}) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda one: one.delete_one({"n": 1}), "3 documents, where 4 were sent"),
        (lambda one: one.update_one({"n": 1}, {"$set": {"extra": 1}}), "1 fields that were not sent in themselves"),
        (lambda one: one.update_one({"n": 1}, {"$set": {"n": 1.0}}), "n: 1 are double, not long"),
        (lambda one: one.update_one({"n": 1}, {"$unset": {"ward": 1}}), "ward: 1 are absent or of another type"),
        (lambda one: one.update_one({"n": 1}, {"$set": {"ward": None}}), "ward: 2 are null, not 1"),
        (lambda one: one.update_one({"n": 1}, {"$set": {"x": 0.1}}), "a sample of 4 differ"),
    ],
)
def test_a_server_that_holds_something_else_is_noticed(
    store: DatasetStore, patients: Any, monkeypatch, change: Any, fault: str
) -> None:
    insert = module._Export._insert

    def changed(self: Any) -> int:
        first = insert(self)
        change(self._work)
        return first

    monkeypatch.setattr(module._Export, "_insert", changed)
    patients.insert_one({"mine": 1})
    with pytest.raises(DatasetError, match=fault):
        export_mongo(store, "t", patients, replace=PLACE)
    assert [one["mine"] for one in patients.find()] == [1]


def test_a_batch_that_is_there_in_part_is_sent_again(store: DatasetStore, patients: Any, monkeypatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    send, sent = module._Export._send, []

    def torn(self: Any, batch: list[dict[str, Any]]) -> None:
        sent.append(len(batch))
        if len(sent) == 1:
            self._work.insert_many(batch[:2])
            raise self._lost("the connection ends after two of three")
        if len(sent) == 2:
            self._work.insert_one(batch[1])  # another exporter of the same version is faster
        send(self, batch)

    monkeypatch.setattr(module._Export, "_send", torn)
    assert export_mongo(store, "t", patients).rows == 4
    assert sent == [3, 2]
    assert patients.count_documents({}) == 4


def test_identifiers_follow_from_data_and_paths(store: DatasetStore) -> None:
    def identifiers(paths: Paths | None) -> set[ObjectId]:
        collection = mongomock.MongoClient()["clinic"]["patients"]
        export_mongo(store, "t", collection, paths=paths)
        return {one["_id"] for one in collection.find()}

    assert identifiers(None) == identifiers(None)
    assert not identifiers(None) & identifiers(PATHS)


@pytest.mark.parametrize(
    ("paths", "fault"),
    [
        ({"height": "a"}, "has no column height"),
        ({"x": "a", "n": "a"}, "columns x and n have one path a"),
        ({"x": "ward.x"}, "column ward is at ward, inside which column x"),
        ({"x": "a..b"}, "is not a path"),
        ({"x": "$a"}, "is not a path"),
        ({"x": "_id"}, "_id belongs to the export"),
    ],
)
def test_paths_that_make_no_document_are_refused(
    store: DatasetStore, patients: Any, paths: dict[str, str], fault: str
) -> None:
    with pytest.raises(DeclarationError, match=fault):
        export_mongo(store, "t", patients, paths=Paths(paths=paths))
    assert patients.database.list_collection_names() == []


def test_columns_without_a_path_can_be_left_out(store: DatasetStore, patients: Any) -> None:
    done = export_mongo(store, "t", patients, paths=Paths(paths={"x": "lab.x"}, others="drop"))
    assert [path for path, _, _ in done.fields] == ["lab.x"]
    with pytest.raises(DeclarationError, match="the documents would be empty"):
        export_mongo(store, "t", patients, paths=Paths(others="drop"))
