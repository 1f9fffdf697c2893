"""Upgrades a database to the schema of this release.

An empty database gets the schema; an older one is upgraded in one transaction, which leaves no trace if interrupted;
one with an unknown schema is refused, since a newer release wrote it and might depend on what this release would break.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from relay.server.core.config import RelayConfig
from relay.server.store.connect import connect
from relay.server.store.database import Database
from relay.service.folders import private_folder, sync_folder
from secagg.errors import SecaggError

REVISION = "0006"
"""The newest revision in `migrations/versions`; a test checks this."""

VERSION_TABLE = "alembic_version"
_MOVED = "moved"


class SchemaError(SecaggError):
    """The database has a different schema from the one that this command needs."""


class MovedError(SchemaError):
    """The relay's database has been moved elsewhere."""

    def __init__(self) -> None:
        super().__init__(
            "this relay was moved to PostgreSQL and this database is closed; set `database` to the new one"
        )


class NewerSchemaError(SchemaError):
    """The database was written by a newer release."""


async def prepare(config: RelayConfig) -> str | None:
    """Create the data folder, and create or upgrade the database.

    Args:
        config: settings with the locations of both.

    Returns:
        The revision upgraded from, "" if the database was created, or None if it was up to date.

    Raises:
        NewerSchemaError: this release does not know the schema; nothing was changed.
        MovedError: the relay's database has been moved.
        ParameterError: the folder is not private.
        DatabaseUnavailableError: the database does not exist, or this user may not write to it.
    """
    _make_private(config)
    database = connect(config.database_url, wait_s=config.database_wait_s, connections=1)
    try:
        before = await _prepare(database)
    finally:
        await database.close()
    sync_folder(config.data)
    return before


def revision(db: Connection) -> str | None:
    """Return the schema revision of a database; None if it is empty."""
    if not inspect(db).has_table(VERSION_TABLE):
        return None
    found: str | None = db.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def require(db: Connection) -> None:
    """Check that a database has this release's schema; raises SchemaError."""
    found = revision(db)
    if found == _MOVED:
        raise MovedError
    if found != REVISION:
        raise SchemaError(f"the database has schema {found}, this release needs {REVISION}; run: secagg-relay migrate")


def mark_moved(db: Connection) -> None:
    """Close a database to all future starts and commands."""
    db.execute(text("UPDATE alembic_version SET version_num = :moved"), {"moved": _MOVED})


def _make_private(config: RelayConfig) -> None:
    private_folder(config.data)
    url = config.database_url
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).touch(mode=0o600)  # SQLite creates its other files with the same mode


async def _prepare(database: Database) -> str | None:
    if await database.read(revision) == REVISION:  # a normal start waits for nobody
        return None
    return await database.alone(_upgrade)  # if two start at once, the second finds the work done


def _upgrade(db: Connection) -> str | None:
    found = revision(db)
    if found == REVISION:
        return None
    if found == _MOVED:
        raise MovedError
    from alembic import command  # noqa: PLC0415  # takes half a second, not needed in a normal start
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = db
    if found is not None and found not in {
        script.revision for script in ScriptDirectory.from_config(config).walk_revisions()
    }:
        raise NewerSchemaError(
            f"the database has schema {found}, unknown to this release (schema {REVISION}); a newer release wrote it. "
            "Start that release, or restore the backup made before the upgrade"
        )
    command.upgrade(config, "head")
    return found or ""
