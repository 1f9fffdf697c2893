"""Numbered migrations of a journal's tables, as the relay has them for its database.

A journal records in SQLite's `user_version` the number of the last migration that it has seen. A published migration is
never changed, since journals exist that have seen it: a change of a table is a new migration with the next number. A
new journal runs all of them.
"""

import sqlite3
from collections.abc import Callable, Mapping

from secagg.errors import SecaggError

Change = str | Callable[[sqlite3.Connection], None]
"""One SQL statement, or a function where the change depends on what is there."""

Migrations = Mapping[int, Change]
"""A party's migrations by number, from 1 without gaps."""


class NewerTablesError(SecaggError):
    """A newer release has changed the tables in a way that this one does not know."""


def version(connection: sqlite3.Connection) -> int:
    """Return the number of the last migration that the database has seen; 0 for none."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def pending(connection: sqlite3.Connection, migrations: Migrations) -> list[int]:
    """Return the numbers of the migrations that the database has not seen, in order.

    Raises:
        NewerTablesError: the database has seen migrations that are unknown here.
    """
    seen = version(connection)
    if migrations and seen > max(migrations):
        raise NewerTablesError(f"a newer release wrote it (tables {seen}; this release knows {max(migrations)})")
    return [number for number in sorted(migrations) if number > seen]


def migrate(connection: sqlite3.Connection, migrations: Migrations) -> None:
    """Run the pending migrations; the caller provides the transaction.

    Raises:
        NewerTablesError: the database has seen migrations that are unknown here.
    """
    for number in pending(connection, migrations):
        change = migrations[number]
        if isinstance(change, str):
            connection.execute(change)
        else:
            change(connection)
        connection.execute(f"PRAGMA user_version = {number}")


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the names of a table's columns; empty if there is no such table."""
    return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]
