"""What a database is to the relay: it runs functions in durable transactions, or over a consistent view.

A transaction is one plain function from a connection to a result, the same one for SQLite (`relay.store.sqlite`) and
for PostgreSQL (`relay.store.postgres`). It may run more than once, when the database asks for it, and so it changes
nothing but the database.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

import sqlalchemy
from sqlalchemy import URL, Connection

from secagg.errors import SecaggError

T = TypeVar("T")
Row: TypeAlias = sqlalchemy.Row[*tuple[Any, ...]]
"""What a query returns: a named tuple whose names are the columns' of `relay.schema`."""


class DatabaseUnavailableError(SecaggError):
    """The database cannot be reached or cannot write now; nothing was acknowledged."""


class DatabaseBusyError(DatabaseUnavailableError):
    """The turn to write did not come in time: another process holds a lock, or the disk is too slow."""


class DatabaseFullError(DatabaseUnavailableError):
    """The database's disk is full."""


class Database(Protocol):
    """A database that `relay.migrate.prepare` has made ready."""

    async def write(self, work: Callable[[Connection], T], *, appends: bool = False) -> T:
        """Run `work` in a transaction: durable when this returns, without a trace when `work` raises.

        Args:
            work: the transaction. Writes run as if one after the other.
            appends: `work` only adds rows, and advances rows by compare-and-set; whether it may is read from what was
                committed before it began. Such writes need not wait for each other.

        Raises:
            DatabaseUnavailableError: nothing is known to be stored; `work` may be asked for again.
        """

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` over one consistent view of what was committed before; raises DatabaseUnavailableError."""

    async def alone(self, work: Callable[[Connection], T]) -> T:
        """Run a change of the schema in a transaction, while no other such change runs."""

    async def close(self) -> None:
        """Close all connections."""


def connect(url: URL, *, wait_s: float = 5, connections: int = 4) -> Database:
    """Return the database at a URL; nothing is opened before the first use.

    Args:
        url: `sqlite:///path` or `postgresql://user@host/name`, see `RelayConfig.database_url`.
        wait_s: longest wait for a connection, for the turn to write and for another's lock.
        connections: how many are open at a time.
    """
    if url.get_backend_name() == "sqlite":
        from relay.store.sqlite import SqliteDatabase  # noqa: PLC0415  # each driver only where it is used

        return SqliteDatabase(url, wait_s=wait_s, readers=connections)
    from relay.store.postgres import PostgresDatabase  # noqa: PLC0415

    return PostgresDatabase(url, wait_s=wait_s, connections=connections)


def transact(url: URL, work: Callable[[Connection], T], *, wait_s: float = 5) -> T:
    """Run one function in a transaction of its own: for commands. A serving relay may go on meanwhile."""

    async def once() -> T:
        database = connect(url, wait_s=wait_s, connections=1)
        try:
            return await database.write(work)
        finally:
            await database.close()

    return asyncio.run(once())
