"""Opens a database: the one place that knows which drivers exist."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import URL, Connection

from relay.server.store.database import Database
from relay.server.store.sqlite import SqliteDatabase

T = TypeVar("T")


def connect(url: URL, *, wait_s: float = 5, connections: int = 4) -> Database:
    """Return the database at a URL; nothing is opened before the first use.

    Args:
        url: `sqlite:///path` or `postgresql://user@host/name`, see `RelayConfig.database_url`.
        wait_s: longest wait for a connection, for the turn to write and for another process's lock.
        connections: maximum number of open connections.
    """
    if url.get_backend_name() == "sqlite":
        return SqliteDatabase(url, wait_s=wait_s, readers=connections)
    from relay.server.store.postgres import PostgresDatabase  # noqa: PLC0415  # only PostgreSQL's users have the driver

    return PostgresDatabase(url, wait_s=wait_s, connections=connections)


def transact(url: URL, work: Callable[[Connection], T], *, wait_s: float = 5) -> T:
    """Run one function in its own transaction, for commands. A relay may be serving at the same time."""

    async def once() -> T:
        database = connect(url, wait_s=wait_s, connections=1)
        try:
            return await database.write(work)
        finally:
            await database.close()

    return asyncio.run(once())
