"""A table from a real PostgreSQL database becomes a dataset, with the right type for each value."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from participant.data.model.errors import SourceError
from participant.data.pipeline.importing import import_table
from participant.data.sources.choose import Options, open_source
from participant.data.store.store import DatasetStore
from tests.support.postgres import Postgres
from tests.support.tables import NOW

SCHEMA = """
CREATE SCHEMA clinic;
CREATE TYPE sex AS ENUM ('m', 'f');
CREATE TABLE clinic.visits (
    id uuid, age smallint, account numeric(20), crea numeric(6, 3), x double precision, born date,
    seen timestamptz, clock time, stay interval, sex sex, smoker boolean, note text
);
INSERT INTO clinic.visits VALUES
    ('00000000-0000-0000-0000-000000000001', 61, 12345678901234567890, 0.875, 1.52e-11, '1960-01-31',
     '2020-01-31 10:30:00+00', '08:15', interval '30 hours', 'm', true, '007'),
    ('00000000-0000-0000-0000-000000000002', NULL, 1, 1.120, 'NaN', NULL,
     '2020-02-01 00:00:00+00', NULL, NULL, 'f', NULL, 'B, C');
"""


@pytest.fixture(scope="module")
def url(testrun_uid: str) -> str:
    """Return the address of a database with a table of all kinds of columns."""
    server = Postgres.shared(testrun_uid)
    url = server.empty()
    Postgres(url, server.folder).execute(SCHEMA)
    return url


def test_a_table_keeps_its_types(url: str, tmp_path: Path) -> None:
    done = import_table(
        DatasetStore(tmp_path / "data"),
        "t",
        open_source(url, Options(table="clinic.visits")),
        imported_at=NOW,
        pictures=False,
    )
    assert pl.read_parquet(done.folder / "data.parquet").to_dict(as_series=False) == {
        "id": ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"],
        "age": [61, None],
        "account": ["12345678901234567890", "1"],
        "crea": [0.875, 1.12],
        "x": [1.52e-11, None],
        "born": [date(1960, 1, 31), None],
        "seen": [date(2020, 1, 31), date(2020, 2, 1)],
        "clock": ["08:15:00", None],
        "stay": [108_000.0, None],
        "sex": ["m", "f"],
        "smoker": [True, None],
        "note": ["007", "B, C"],
    }
    stored = "".join(path.read_text() for path in done.folder.iterdir() if path.suffix in {".json", ".html", ".md"})
    assert "postgresql://" in stored
    assert url not in stored


def test_errors_name_no_address(url: str) -> None:
    for options in (Options(table="clinic.nothing"), Options(query="select 1/0")):
        with pytest.raises(SourceError, match="the database cannot be read") as caught:
            open_source(url, options)
        assert "postgres" not in str(caught.value).replace("psycopg", "")


def test_large_results_are_streamed(url: str, tmp_path: Path) -> None:
    source = open_source(url, Options(query="select n, n / 7.0::float8 as x from generate_series(1, 100000) n"))
    done = import_table(DatasetStore(tmp_path / "data"), "t", source, imported_at=NOW, pictures=False)
    assert done.description.rows == 100_000
    assert pl.read_parquet(done.folder / "data.parquet")["x"][6] == 1.0
