"""Access to the relay's database from outside the serving process, for the operator's commands."""

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
    """Run a function in a transaction on the relay's database; a relay may be serving at the same time.

    Raises:
        ParameterError: there is no database, and `create` is not set.
        SchemaError: its schema is not this release's.
    """
    if create:
        asyncio.run(migrate.prepare(settings))
    return asyncio.run(_run(settings, lambda database: database.write(_checked(work))))


def over_view(settings: RelayConfig, work: Callable[[Connection], T]) -> T:
    """Run a read-only function that may take long, since it blocks nobody. Raises the same errors as `on_database`."""
    return asyncio.run(_run(settings, lambda database: database.read(_checked(work))))


def keep_idle(db: Connection) -> None:
    """Let this PostgreSQL transaction stay idle for as long as other work takes."""
    db.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


async def _run(settings: RelayConfig, use: Callable[[Database], Awaitable[T]]) -> T:
    if settings.database is None and not (settings.data / FILE_NAME).exists():
        raise ParameterError(f"{settings.data} contains no relay; give its folder as --data")
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
