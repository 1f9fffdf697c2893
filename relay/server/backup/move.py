"""Moves a relay from SQLite to PostgreSQL: one transaction on each side, every row compared before the commit.

The source is closed in its own transaction: no relay starts on it again, and an idle one that is still running cannot
write, since anything that it acknowledged would be lost.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, text
from sqlalchemy.exc import OperationalError

from relay.server.core.config import RelayConfig, sqlite_url
from relay.server.core.serving import stopped
from relay.server.core.storage_errors import DatabaseBusyError, DatabaseUnavailableError
from relay.server.store import migrate, schema
from relay.server.store.connect import connect
from relay.server.store.offline import keep_idle
from relay.server.store.sqlite import engine
from secagg.errors import ParameterError, SecaggError

_BATCH = 500
_COUNTERS = ("message", "token")
"""Tables whose numbering must continue above every number ever assigned, including those of deleted rows."""


class MoveError(SecaggError):
    """The copy differs from its source; nothing was kept."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A moved table: its number of rows, and an order-independent hash over them."""

    name: str
    rows: int
    digest: bytes


def move(source: RelayConfig, target: RelayConfig) -> list[Moved]:
    """Copy all tables in one transaction, compare counts and hashes, and only then commit.

    Args:
        source: settings with the data folder, whose relay is stopped.
        target: settings with an empty PostgreSQL database.

    Raises:
        ParameterError: the folder contains no relay, its relay is serving, or the target already has sites.
        SchemaError: the source's schema is not this release's, or it was already moved.
        DatabaseBusyError: a relay is still writing to the source.
        MoveError: the copy differs.
    """
    if source.database is not None:
        raise ParameterError("this relay's database is already in PostgreSQL")
    if not Path(sqlite_url(source.data).database or "").exists():
        raise ParameterError(f"{source.data} contains no relay; give its folder as --data")
    with stopped(source.data):
        return _moved(source, target)


def _moved(source: RelayConfig, target: RelayConfig) -> list[Moved]:
    asyncio.run(migrate.prepare(target))
    from_ = engine(sqlite_url(source.data), wait_s=source.database_wait_s, begin="BEGIN EXCLUSIVE", connections=1)
    try:
        with from_.begin() as old:
            migrate.require(old)
            _close(old)
            return asyncio.run(_copied(old, target))
    except OperationalError:
        raise DatabaseBusyError("a relay is still writing to the database; stop it first") from None
    finally:
        from_.dispose()


def _close(old: Connection) -> None:
    migrate.mark_moved(old)
    for table in schema.metadata.sorted_tables:
        for deed in ("INSERT", "UPDATE", "DELETE"):
            name = f"moved_{table.name}_{deed.lower()}"
            old.exec_driver_sql(
                f'CREATE TRIGGER "{name}" BEFORE {deed} ON "{table.name}" '
                "BEGIN SELECT RAISE(ABORT, 'this database was moved to PostgreSQL'); END"
            )


async def _copied(old: Connection, target: RelayConfig) -> list[Moved]:
    database = connect(target.database_url, wait_s=target.database_wait_s, connections=1)
    try:
        return await database.alone(lambda new: _copy(old, new))
    except DatabaseUnavailableError as error:
        raise MoveError(f"the move failed and nothing was changed: {error}") from None
    finally:
        await database.close()


def _copy(old: Connection, new: Connection) -> list[Moved]:
    keep_idle(new)  # idle while the source is hashed
    if new.scalar(select(func.count()).select_from(schema.site)):
        raise ParameterError("the target already has sites; move the relay into a new database: createdb")
    moved = []
    for table in schema.metadata.sorted_tables:
        new.execute(table.delete())  # inserted by the migrations
        for rows in old.execute(select(table)).mappings().partitions(_BATCH):
            new.execute(insert(table), [dict(row) for row in rows])
        before, after = _described(old, table), _described(new, table)
        if before != after:
            raise MoveError(f"table {table.name}: {after.rows} of {before.rows} rows arrived, or their content differs")
        moved.append(before)
    for name in _COUNTERS:
        _go_on(old, new, name)
    return moved


def _described(db: Connection, table: Table) -> Moved:
    """Hash each row and add up the hashes, since the two databases sort differently."""
    rows, total = 0, 0
    for found in db.execute(select(table), execution_options={"yield_per": _BATCH}).partitions():
        rows += len(found)
        total += sum(int.from_bytes(sha256(_spelled(row)).digest(), "big") for row in found)
    return Moved(table.name, rows, (total % 2**256).to_bytes(32, "big"))


def _spelled(row: Iterable[Any]) -> bytes:
    """Serialise a row in the same way, whichever driver read it."""
    plain = (value if isinstance(value, bytes | int | float | str | None) else str(value) for value in row)
    return repr(tuple(plain)).encode()


def _go_on(old: Connection, new: Connection, table: str) -> None:
    last = old.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table})
    if last:
        new.execute(text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), {"name": table, "last": last})
