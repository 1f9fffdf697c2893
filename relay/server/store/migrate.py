"""Bringing a database to the schema of this release.

An empty database gets the schema, an older one is upgraded in one transaction (killed half way, it is as it was), and
one whose schema this release does not know is refused: a newer release wrote it, and we might break what it relies on.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from relay.server.core.config import RelayConfig
from relay.server.store.connect import connect
from relay.server.store.database import Database
from relay.service.folders import private_folder, sync_folder
from secagg.errors import SecaggError

REVISION = "0005"
"""The newest revision in `migrations/versions`; a test compares."""

VERSION_TABLE = "alembic_version"
_MOVED = "moved"


class SchemaError(SecaggError):
    """The database has another schema than this command needs."""


class MovedError(SchemaError):
    """The relay has its database elsewhere now."""

    def __init__(self) -> None:
        super().__init__(
            "this relay was moved to PostgreSQL and this database is closed; name the new one in the setting database"
        )


class NewerSchemaError(SchemaError):
    """The database was written by a newer release."""


async def prepare(config: RelayConfig) -> str | None:
    """Make the data folder, and create or upgrade the database.

    Args:
        config: names both.

    Returns:
        The revision from which it was upgraded, "" if it was created, or None if there was nothing to do.

    Raises:
        NewerSchemaError: the schema is not known to this release; nothing was changed.
        MovedError: the relay has another database now.
        ParameterError: the folder is not private.
        DatabaseUnavailableError: there is no such database, or this user may not write it.
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
    """Return the revision of the schema of a database, None for an empty one."""
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
        raise SchemaError(f"the database has schema {found}, this release {REVISION}; see: secagg-relay migrate")


def mark_moved(db: Connection) -> None:
    """Close a database to every start and every command."""
    db.execute(text("UPDATE alembic_version SET version_num = :moved"), {"moved": _MOVED})


def _make_private(config: RelayConfig) -> None:
    private_folder(config.data)
    url = config.database_url
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).touch(mode=0o600)  # SQLite gives its other files the mode of this one


async def _prepare(database: Database) -> str | None:
    if await database.read(revision) == REVISION:  # the ordinary start waits for nobody
        return None
    return await database.alone(_upgrade)  # of two that start at once, the second finds the work done


def _upgrade(db: Connection) -> str | None:
    found = revision(db)
    if found == REVISION:
        return None
    if found == _MOVED:
        raise MovedError
    from alembic import command  # noqa: PLC0415  # half a second that an ordinary start need not spend
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = db
    if found is not None and found not in {
        script.revision for script in ScriptDirectory.from_config(config).walk_revisions()
    }:
        raise NewerSchemaError(
            f"the database has schema {found}, which this release (schema {REVISION}) does not know. A newer release "
            "wrote it: start that one, or restore the backup that was made before the upgrade"
        )
    command.upgrade(config, "head")
    return found or ""
