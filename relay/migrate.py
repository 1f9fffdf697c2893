"""Bringing a data folder's database to the schema of this release.

A new folder gets a database, an older one is upgraded in one transaction (killed half way, it is as it was), and one
whose schema this release does not know is refused: a newer release wrote it, and we might break what it relies on.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from relay.service.folders import private_folder, sync_folder
from relay.store.database import FILE_NAME, engine, transact
from secagg.errors import SecaggError

REVISION = "0001"
"""The newest revision in `migrations/versions`; a test compares."""


class SchemaError(SecaggError):
    """The database has another schema than this command needs."""


class NewerSchemaError(SchemaError):
    """The database was written by a newer release."""


def prepare(data: Path) -> str | None:
    """Create or upgrade the database of a data folder.

    Args:
        data: the folder; made where it is missing.

    Returns:
        The revision from which it was upgraded, "" if it was created, or None if there was nothing to do.

    Raises:
        NewerSchemaError: the schema is not known to this release; nothing was changed.
        ParameterError: the folder is not private.
    """
    (private_folder(data) / FILE_NAME).touch(mode=0o600)  # SQLite gives its other files the mode of this one
    writer = engine(data)
    try:
        before = transact(writer, _upgrade)  # of two that start at once, the second finds the work done
    finally:
        writer.dispose()
    sync_folder(data)
    return before


def revision(db: Connection) -> str | None:
    """Return the revision of the schema of a database, None for an empty one."""
    if not inspect(db).has_table("alembic_version"):
        return None
    found: str | None = db.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def require(db: Connection) -> None:
    """Check that a database has this release's schema; raises SchemaError."""
    found = revision(db)
    if found != REVISION:
        raise SchemaError(f"the database has schema {found}, this release {REVISION}; see: secagg-relay migrate")


def _upgrade(db: Connection) -> str | None:
    found = revision(db)
    if found == REVISION:
        return None
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
