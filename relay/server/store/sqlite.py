"""SQLite in the data folder, in WAL mode with `synchronous=FULL`: a commit returns after its fsync.

A transaction runs in its own thread, so that the event loop neither waits for the disk nor switches threads at every
statement, and so that it can wait for nothing but the database while it holds the write lock.

Writers begin with BEGIN IMMEDIATE, because a transaction that first reads and then upgrades fails immediately if
another process wrote in between, whatever the timeout. Within a process, writers queue for the one writing thread;
between processes, `busy_timeout` waits.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from relay.server.core.storage_errors import DatabaseBusyError, DatabaseFullError, DatabaseUnavailableError

T = TypeVar("T")

_COMPACT_PAGES = 1000  # some milliseconds, so that other writes can happen in between
_INCREMENTAL = 2


class SqliteDatabase:
    """A database file. See `relay.server.store.database.Database`.

    Args:
        url: URL of the file.
        wait_s: longest wait for the turn to write, and for another process's lock.
        readers: number of concurrent views.
    """

    def __init__(self, url: URL, *, wait_s: float, readers: int) -> None:
        self._wait_s = wait_s
        self._writer = engine(url, wait_s=wait_s, begin="BEGIN IMMEDIATE", connections=1)
        self._reader = engine(url, wait_s=wait_s, begin="BEGIN", connections=readers)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="relay-write")
        self._reading = ThreadPoolExecutor(readers, thread_name_prefix="relay-read")
        self._turn = asyncio.Lock()

    async def write(self, work: Callable[[Connection], T], *, appends: bool = False) -> T:
        """Run `work` in a transaction; SQLite has one writer at a time in any case."""
        del appends
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turn.acquire()
        except TimeoutError:
            raise DatabaseBusyError("the database is busy") from None
        try:
            return await _in_thread(self._writing, lambda: _transact(self._writer, work))
        finally:
            self._turn.release()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` over one consistent view of committed data."""
        return await _in_thread(self._reading, lambda: _view(self._reader, work))

    async def alone(self, work: Callable[[Connection], T]) -> T:
        """Run a schema change: no two writes overlap here in any case."""
        return await self.write(work)

    async def compact(self) -> bool:
        """Cut free pages off the end of the file, at most `_COMPACT_PAGES` in one transaction.

        A file made before `auto_vacuum` was set keeps its size; `secagg-relay compact` changes that.
        """
        return await self.write(_compact)

    async def close(self) -> None:
        """Close all connections; the last process to leave truncates the write-ahead log."""
        self._writing.shutdown()
        self._reading.shutdown()
        self._reader.dispose()
        self._writer.dispose()


def _compact(db: Connection) -> bool:
    if db.exec_driver_sql("PRAGMA auto_vacuum").scalar() != _INCREMENTAL:
        return False
    driver = db.connection.driver_connection
    assert driver is not None
    driver.execute(f"PRAGMA incremental_vacuum({_COMPACT_PAGES})").fetchall()  # frees a page with each step
    return bool(db.exec_driver_sql("PRAGMA freelist_count").scalar())


def _transact(writer: Engine, work: Callable[[Connection], T]) -> T:
    try:
        with writer.begin() as db:
            return _clean(db, work)
    except (OperationalError, IntegrityError) as error:
        if isinstance(error, IntegrityError) and not _is_closed(error):
            raise
        raise _translated(error) from error


def _is_closed(error: IntegrityError) -> bool:
    """Return whether the triggers of a moved database refused a write: the schema has no others."""
    return getattr(error.orig, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_TRIGGER


def _view(reader: Engine, work: Callable[[Connection], T]) -> T:
    try:
        with reader.connect() as db:
            return _clean(db, work)
    except OperationalError as error:
        raise _translated(error) from error


def _clean(db: Connection, work: Callable[[Connection], T]) -> T:
    try:
        return work(db)
    except BaseException:
        db.rollback()
        db.invalidate()  # a half-read query would hold its old view over the next transaction
        raise


def _translated(error: DBAPIError) -> DatabaseUnavailableError:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the primary code is the extended code's lowest byte
    if code == sqlite3.SQLITE_FULL:
        return DatabaseFullError("the disk of the database is full")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return DatabaseBusyError("the database is busy")
    return DatabaseUnavailableError(f"the database failed: {error.orig}")


def engine(url: URL, *, wait_s: float, begin: str, connections: int) -> Engine:
    """Return an engine whose transactions begin with the statement `begin`."""
    made = create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": wait_s, "check_same_thread": False},
        hide_parameters=True,  # keeps frames and token hashes out of the log
    )

    @event.listens_for(made, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # otherwise the driver begins deferred transactions
        if not connection.execute("PRAGMA page_count").fetchone()[0]:  # it has no effect later, but is a write
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return made


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, work)
