"""A table or a query of any database that SQLAlchemy has a dialect for.

The address may hold a password: it is used to connect and kept nowhere. What is written down is the dialect, the host
and the database; of a query, its hash. Errors of a driver quote addresses, statements and values, so only their class
is told.
"""

from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import polars as pl
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from participant.data.model.errors import SourceError
from participant.data.sources import MAX_CELL_CHARS, Batch, Origin, batch_rows, check_columns, positions


class SqlSource:
    """A table, or what a query gives.

    Args:
        url: of the database, as SQLAlchemy takes it.
        table: name of a table or view, `schema.table` where it is in a schema.
        query: one SELECT statement instead of a table.

    Raises:
        SourceError: no address, the driver is not installed, no connection, or the statement is refused.
    """

    def __init__(self, url: str, *, table: str | None = None, query: str | None = None) -> None:
        if (table is None) == (query is None):
            raise SourceError("name a table of the database with --table, or a statement with --query")
        try:
            self._url = sqlalchemy.make_url(url)
            self._engine = sqlalchemy.create_engine(self._url, hide_parameters=True)
        except (SQLAlchemyError, ImportError, ValueError, TypeError) as error:
            raise _told("the address is none of a database, or its driver is not installed", error) from None
        if self._engine.dialect.is_async:
            raise SourceError("this driver is an asynchronous one; name another, such as postgresql+psycopg://")
        self._table, self._query = table, query
        statement = sqlalchemy.text(query) if query else sqlalchemy.text(f"SELECT * FROM {self._quoted(str(table))}")  # noqa: S608 - quoted by the dialect
        try:
            self._connection = self._engine.connect().execution_options(stream_results=True)
            self._rows = self._connection.execute(statement)
            self._header = tuple(self._rows.keys())
        except Exception as error:  # noqa: BLE001 - drivers raise what they like, and their words quote the address
            self._engine.dispose()
            raise _told("the database cannot be read", error) from None
        check_columns(len(self._header))

    @property
    def header(self) -> tuple[str, ...]:
        return self._header

    @property
    def size(self) -> None:
        return None

    def batches(self) -> Iterator[Batch]:
        names, first = positions(len(self._header)), 1
        try:
            for rows in self._rows.partitions(min(batch_rows(len(names)), 1 << 15)):
                cells = [
                    [as_text(value, name) for value in values]
                    for name, values in zip(self._header, zip(*rows, strict=True), strict=True)
                ]
                lines = pl.int_range(first, first + len(rows), dtype=pl.Int64, eager=True)
                first += len(rows)
                yield Batch(
                    lines,
                    pl.DataFrame(dict(zip(names, cells, strict=True)), dict.fromkeys(names, pl.String)),
                    (),
                    first - 1,
                )
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            raise _told("the database broke off", error) from None
        finally:
            self._connection.close()
            self._engine.dispose()

    def origin(self) -> Origin:
        place = f"{self._url.get_backend_name()}://{self._url.host or ''}/{self._url.database or ''}"
        if self._query is None:
            return Origin("sql", f"{place} table {self._table}")
        return Origin(
            "sql", f"{place} query", notes=(f"query with SHA-256 {sha256(self._query.encode()).hexdigest()}",)
        )

    def _quoted(self, table: str) -> str:
        prepare = self._engine.dialect.identifier_preparer
        return ".".join(prepare.quote_identifier(part) for part in table.split("."))


def as_text(value: Any, column: str) -> str | None:
    """Return a database's value as a cell of text, None where it is missing.

    Raises:
        SourceError: it is no single value.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if len(value) > MAX_CELL_CHARS or "\0" in value:
            raise SourceError(f"column {column!r} holds a text of more than {MAX_CELL_CHARS:,} characters, or NUL")
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, int | float | Decimal | UUID):
        return str(value)
    raise SourceError(f"column {column!r} holds a {type(value).__name__}, which is no single value")


def _told(what: str, error: Exception) -> SourceError:
    return SourceError(f"{what} ({type(error).__name__}; its words may hold the address and are not shown)")
