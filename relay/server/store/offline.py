"""Working on the relay's database from outside the process that serves: what the operator's commands do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Connection, text

from relay.server.core.config import FILE_NAME, RelayConfig
from relay.server.store import migrate
from relay.server.store.connect import connect
from relay.server.store.database import Database
from secagg.errors import ParameterError

T = TypeVar("T")


def on_database(settings: RelayConfig, work: Callable[[Connection], T], *, create: bool = False) -> T:
    """Run a function in a transaction on the relay's database; a serving relay may go on meanwhile.

    Raises:
        ParameterError: there is no database, and none was to be created.
        SchemaError: it has another schema than this release's.
    """
    if create:
        asyncio.run(migrate.prepare(settings))
    return asyncio.run(_run(settings, lambda database: database.write(_checked(work))))


def over_view(settings: RelayConfig, work: Callable[[Connection], T]) -> T:
    """Run a function that only reads, for as long as it takes: nobody waits for it. Raises as `on_database`."""
    return asyncio.run(_run(settings, lambda database: database.read(_checked(work))))


def keep_idle(db: Connection) -> None:
    """Let PostgreSQL wait for this transaction, however long it does something else meanwhile."""
    db.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


async def _run(settings: RelayConfig, use: Callable[[Database], Awaitable[T]]) -> T:
    if settings.database is None and not (settings.data / FILE_NAME).exists():
        raise ParameterError(f"there is no relay in {settings.data}; name its folder with --data")
    url = settings.database_url
    database = connect(url, wait_s=settings.database_wait_s, connections=1)
    try:
        return await use(database)
    finally:
        await database.close()


def _checked(work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    def checked(db: Connection) -> T:
        migrate.require(db)
        return work(db)

    return checked
