"""What a database is to the relay: it runs functions in durable transactions, or over a consistent view.

A transaction is one plain function from a connection to a result, the same one for SQLite (`relay.server.store.sqlite`)
and for PostgreSQL (`relay.server.store.postgres`). It may run more than once, when the database asks for it, and so it
changes nothing but the database.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

import sqlalchemy
from sqlalchemy import Connection

T = TypeVar("T")
Row: TypeAlias = sqlalchemy.Row[*tuple[Any, ...]]
"""What a query returns: a named tuple whose names are the columns' of `relay.server.store.schema`."""


class Database(Protocol):
    """A database that `relay.server.store.migrate.prepare` has made ready."""

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
