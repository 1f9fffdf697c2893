"""A database gives the space of removed rows back: a new one by itself, an old one after `secagg-relay compact`."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import Connection
from typer.testing import CliRunner

from relay.server.commands.cli import app
from relay.server.core.config import FILE_NAME, sqlite_url
from relay.server.core.serving import serving
from relay.server.store.sqlite import SqliteDatabase
from secagg.errors import ParameterError

ROWS = 600
BYTES = 8000


def fill(db: Connection) -> None:
    db.exec_driver_sql("CREATE TABLE IF NOT EXISTS content (data BLOB)")
    for _ in range(ROWS):
        db.exec_driver_sql(f"INSERT INTO content VALUES (zeroblob({BYTES}))")


def empty(db: Connection) -> None:
    db.exec_driver_sql("DELETE FROM content")


async def emptied(data: Path) -> int:
    """Fill and empty the database, compact it as housekeeping does, and return the file's size."""
    database = SqliteDatabase(sqlite_url(data), wait_s=5, readers=1)
    await database.write(fill)
    await database.write(empty)
    while await database.compact():
        pass
    await database.close()
    return (data / FILE_NAME).stat().st_size


def compact(data: Path) -> Result:
    return CliRunner().invoke(app, ["compact", "--data", str(data)], catch_exceptions=False)


async def test_a_new_database_shrinks_by_itself(tmp_path: Path) -> None:
    assert await emptied(tmp_path) < 0.02 * ROWS * BYTES


async def test_an_older_one_shrinks_after_the_command(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as earlier:
        earlier.execute("CREATE TABLE content (data BLOB)")
    assert await emptied(tmp_path) > ROWS * BYTES
    compact(tmp_path)
    assert (tmp_path / FILE_NAME).stat().st_size < 0.02 * ROWS * BYTES
    assert await emptied(tmp_path) < 0.02 * ROWS * BYTES


def test_a_relay_that_serves_is_not_compacted(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        database.execute("CREATE TABLE content (data BLOB)")
    with serving(tmp_path), pytest.raises(ParameterError, match="a relay is serving"):
        compact(tmp_path)
    assert compact(tmp_path).exit_code == 0


def test_no_database_is_said(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="contains no SQLite database"):
        compact(tmp_path)
