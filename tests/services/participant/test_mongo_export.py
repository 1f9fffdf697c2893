"""An export to a MongoDB server over its protocol: server and exporter are killed, and it comes to the same end."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from pymongo import MongoClient

from participant.data.model.errors import DatasetError
from participant.data.pipeline.importing import import_table
from participant.data.sources.frame import FrameSource
from participant.data.store.export_mongo import BATCH, export_mongo
from participant.data.store.store import DatasetStore
from tests.support.mongo import Mongo
from tests.support.tables import NOW

ROWS = 2 * BATCH + 7


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Mongo]:
    server = Mongo(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    store = DatasetStore(tmp_path / "site" / "datasets")
    table = pl.DataFrame({"n": range(ROWS), "x": [n / 7 if n % 5 else None for n in range(ROWS)], "ward": "Süd"})
    import_table(store, "t", FrameSource(table), imported_at=NOW, pictures=False)
    return store


def test_killed_server_and_exporter(server: Mongo, store: DatasetStore, tmp_path: Path) -> None:
    (tmp_path / "paths.toml").write_text('paths = { x = "lab.crea", n = "lab.number" }\n')
    (tmp_path / "url").write_text(f"{server.url}\n")
    command = [sys.executable, "-m", "participant", "data", "export", "t", "--url-file", str(tmp_path / "url")]
    command += ["--collection", "clinic.patients", "--paths", str(tmp_path / "paths.toml"), "--json"]
    environment = {**os.environ, "SECAGG_PARTICIPANT_DATA": str(store.root.parent)}

    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as exporter:
        assert exporter.stderr is not None
        assert json.loads(exporter.stderr.readline())["step"] == "insert"  # a batch is there
        exporter.kill()
    with server.client as client:
        (unfinished,) = client["clinic"].list_collection_names()
        assert unfinished.startswith("patients_unfinished_")
        first = client["clinic"][unfinished].count_documents({})
    assert BATCH <= first < ROWS

    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as exporter:
        assert exporter.stderr is not None
        exporter.stderr.readline()
        server.kill()
        server.start()
        out, _ = exporter.communicate()
    assert exporter.returncode == 0
    done = json.loads(out)
    assert (done["rows"], done["sample"]) == (ROWS, 1000)
    assert done["resumed"] >= first
    assert done["fields"] == [["lab.number", "int", 0], ["lab.crea", "double", -(-ROWS // 5)], ["ward", "string", 0]]
    with server.client as client:
        assert client["clinic"].list_collection_names() == ["patients"]
        found = client["clinic"]["patients"].find_one({"lab.number": 6})
    assert found is not None
    assert (found["lab"], found["ward"]) == ({"number": 6, "crea": 6 / 7}, "Süd")


def test_a_server_that_keeps_dates_as_something_else_is_noticed(server: Mongo, tmp_path: Path) -> None:
    store = DatasetStore(tmp_path / "dates")
    table = pl.DataFrame({"seen": ["2020-01-31", "2021-01-31"]})
    import_table(store, "t", FrameSource(table), imported_at=NOW, pictures=False)
    with server.client as client, pytest.raises(DatasetError, match="seen: 2 are absent or of another type, not date"):
        export_mongo(store, "t", client["clinic"]["patients"])


def test_a_server_that_is_not_there_is_named_without_its_address(store: DatasetStore, server: Mongo) -> None:
    server.kill()

    with MongoClient(server.url, serverSelectionTimeoutMS=50) as client, pytest.raises(DatasetError) as caught:
        export_mongo(store, "t", client["clinic"]["patients"])
    assert "MongoDB failed (ServerSelectionTimeoutError)" in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
