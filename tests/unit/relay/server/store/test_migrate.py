"""A database is migrated to this release's schema, or left unchanged."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from relay.server.core.config import FILE_NAME, RelayConfig, sqlite_url
from relay.server.store import migrate, schema
from relay.server.store.connect import transact
from secagg.errors import ParameterError


def on(data, work):
    return transact(sqlite_url(data), work)


def prepare(data):
    return asyncio.run(migrate.prepare(RelayConfig(data=data)))


def test_a_new_folder_gets_a_database_once(tmp_path):
    assert prepare(tmp_path / "data") == ""
    assert prepare(tmp_path / "data") is None
    assert on(tmp_path / "data", migrate.revision) == migrate.REVISION


def test_the_migrations_make_the_declared_schema(tmp_path):
    prepare(tmp_path / "data")
    assert on(tmp_path / "data", lambda db: compare_metadata(MigrationContext.configure(db), schema.metadata)) == []


def test_there_is_one_head_and_it_is_the_named_one():
    scripts = ScriptDirectory("relay/server/store/migrations")
    assert scripts.get_heads() == [migrate.REVISION]


def test_a_newer_schema_is_refused_and_not_touched(tmp_path):
    data = tmp_path / "data"
    prepare(data)
    on(data, lambda db: db.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    before = (data / FILE_NAME).read_bytes()
    with pytest.raises(migrate.NewerSchemaError, match="newer release"):
        prepare(data)
    with pytest.raises(migrate.SchemaError):
        on(data, migrate.require)
    assert (data / FILE_NAME).read_bytes() == before


def test_a_migration_that_breaks_leaves_nothing(tmp_path, monkeypatch):
    from alembic import op

    monkeypatch.setattr(op, "create_index", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(tmp_path / "data")
    assert on(tmp_path / "data", migrate.revision) is None
    monkeypatch.undo()
    assert prepare(tmp_path / "data") == ""


def test_a_folder_that_is_open_to_others_is_refused(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o750)
    with pytest.raises(ParameterError, match="chmod 700"):
        prepare(data)


def test_every_column_and_table_is_commented():
    for table in schema.metadata.tables.values():
        assert table.comment, table.name
        for column in table.columns:
            assert column.comment, f"{table.name}.{column.name}"


def test_a_writer_is_durable_and_waits_for_others(tmp_path):
    """The pragmas on which every acknowledgement rests."""
    prepare(tmp_path / "data")
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    for name, value in pragmas.items():
        assert on(tmp_path / "data", lambda db, name=name: db.execute(text(f"PRAGMA {name}")).scalar()) == value


def test_numbers_of_messages_are_never_used_twice(tmp_path):
    """SQLite gives the number of a deleted last row again, unless the table is told to count up."""
    prepare(tmp_path / "data")
    query = text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")
    assert set(on(tmp_path / "data", lambda db: db.execute(query).scalars().all())) == {"message", "token"}
