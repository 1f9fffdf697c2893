"""A table or query of any database for which SQLAlchemy has a dialect.

The address may hold a password: it is used to connect and never stored. Only the dialect, host and database are
recorded and, for a query, its hash. A driver's errors quote addresses, statements and values, so only their class is
reported.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from hashlib import sha256

import polars as pl
import sqlalchemy

from participant.data.model.errors import SourceError
from participant.data.sources import Batch, Origin, SourceColumn, batch_rows, check_columns
from participant.data.sources.cells import CellBatches
from participant.data.sources.database import engine_of, place_of, told


class SqlSource:
    """A table, or the result of a query.

    Args:
        url: address of the database, in SQLAlchemy's form.
        table: name of a table or view, `schema.table` if it is in a schema.
        query: one SELECT statement instead of a table.

    Raises:
        SourceError: the address is invalid, the driver is missing, or connection or statement fails.
    """

    decimal = None
    size = None

    def __init__(self, url: str, *, table: str | None = None, query: str | None = None) -> None:
        if (table is None) == (query is None):
            raise SourceError("name a table of the database with --table, or a statement with --query")
        self._engine = engine_of(url)
        self._table, self._query = table, query
        statement = sqlalchemy.text(query) if query else sqlalchemy.text(f"SELECT * FROM {self._quoted(str(table))}")  # noqa: S608 - quoted by the dialect
        try:
            with ExitStack() as opened:
                opened.callback(self._engine.dispose)
                self._connection = opened.enter_context(self._engine.connect()).execution_options(stream_results=True)
                self._rows = self._connection.execute(statement)
                self._header = tuple(self._rows.keys())
                self._open = opened.pop_all()
        except Exception as error:  # noqa: BLE001 - drivers raise what they like, and their words quote the address
            raise told("the database cannot be read", error) from None
        check_columns(len(self._header))
        self._cells = CellBatches(self._header)

    @property
    def header(self) -> tuple[str, ...]:
        return self._header

    def batches(self) -> Iterator[Batch]:
        first = 1
        try:
            for rows in self._rows.partitions(min(batch_rows(len(self._header)), 1 << 15)):
                lines = pl.int_range(first, first + len(rows), dtype=pl.Int64, eager=True)
                first += len(rows)
                yield self._cells.batch(list(zip(*rows, strict=True)), lines, read=first - 1)
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            raise told("the database broke off", error) from None
        finally:
            self._open.close()

    def known(self) -> Mapping[int, SourceColumn]:
        return self._cells.known()

    def origin(self) -> Origin:
        place = place_of(self._engine)
        if self._query is None:
            return Origin("sql", f"{place} table {self._table}")
        return Origin(
            "sql", f"{place} query", notes=(f"query with SHA-256 {sha256(self._query.encode()).hexdigest()}",)
        )

    def _quoted(self, table: str) -> str:
        prepare = self._engine.dialect.identifier_preparer
        return ".".join(prepare.quote_identifier(part) for part in table.split("."))
