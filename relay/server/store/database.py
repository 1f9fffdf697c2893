"""The interface of a database: it runs functions in durable transactions or over a consistent view.

A transaction is one plain function from a connection to a result, the same for SQLite (`relay.server.store.sqlite`) and
PostgreSQL (`relay.server.store.postgres`). The database may run it more than once, so it must change nothing but the
database.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

import sqlalchemy
from sqlalchemy import Connection

T = TypeVar("T")
Row: TypeAlias = sqlalchemy.Row[*tuple[Any, ...]]
"""A query's row: a named tuple whose names are the columns of `relay.server.store.schema`."""


class Database(Protocol):
    """A database prepared by `relay.server.store.migrate.prepare`."""

    async def write(self, work: Callable[[Connection], T], *, appends: bool = False) -> T:
        """Run `work` in a transaction: durable when this returns; leaves no trace if `work` raises.

        Args:
            work: transaction. Writes are serialised.
            appends: whether `work` only adds rows and advances rows by compare-and-set, with permissions read from what
                had been committed before it began. Such writes need not wait for each other.

        Raises:
            DatabaseUnavailableError: nothing is known to be stored; the caller may retry.
        """

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` over one consistent view of committed data; raises DatabaseUnavailableError."""

    async def alone(self, work: Callable[[Connection], T]) -> T:
        """Run a schema change in a transaction while no other schema change runs."""

    async def compact(self) -> bool:
        """Give some of the space of removed rows back to the disk; returns whether there is more."""

    async def close(self) -> None:
        """Close all connections."""
