"""The database: runs functions in durable transactions, or over a consistent view.

A transaction is one plain function from a connection to a result. It runs in a thread of its own, so that the event
loop neither waits for the disk nor hops between threads at every statement, and it cannot wait for anything but the
database while it holds the write lock.

SQLite in WAL mode with `synchronous=FULL`: a commit returns after its fsync. Writers begin with BEGIN IMMEDIATE, as a
transaction that reads first and upgrades later fails at once when another process wrote in between, whatever the
timeout. Within a process writers queue for the one writing thread; against other processes `busy_timeout` waits.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, create_engine, event

from secagg.errors import SecaggError

FILE_NAME = "relay.sqlite"
_READERS = 4

T = TypeVar("T")
Row: TypeAlias = sqlalchemy.Row[*tuple[Any, ...]]
"""What a query returns: a named tuple whose names are the columns' of `relay.schema`."""


class DatabaseBusyError(SecaggError):
    """The turn to write did not come in time: another process holds the lock, or the disk is too slow."""


class Database:
    """The database of a data folder, which `relay.migrate.prepare` has made ready.

    Args:
        data: the data folder.
        wait_s: longest wait for the turn to write, and for another process's lock.
    """

    def __init__(self, data: Path, *, wait_s: float = 5) -> None:
        self._wait_s = wait_s
        self._writer = engine(data, wait_s=wait_s, begin="BEGIN IMMEDIATE", connections=1)
        self._reader = engine(data, wait_s=wait_s, begin="BEGIN", connections=_READERS)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="relay-write")
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix="relay-read")
        self._turn = asyncio.Lock()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction: durable when this returns, without a trace when `work` raises.

        Raises:
            DatabaseBusyError: others wrote for longer than the wait; nothing was done.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turn.acquire()
        except TimeoutError:
            raise DatabaseBusyError("the database is busy") from None
        try:
            return await _in_thread(self._writing, lambda: transact(self._writer, work))
        finally:
            self._turn.release()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` over one consistent view of what was committed before."""

        def view() -> T:
            with self._reader.connect() as db:
                return work(db)

        return await _in_thread(self._reading, view)

    def close(self) -> None:
        """Close all connections; the last process to leave truncates the write-ahead log."""
        self._writing.shutdown()
        self._reading.shutdown()
        self._reader.dispose()
        self._writer.dispose()


def transact(writer: Engine, work: Callable[[Connection], T]) -> T:
    """Run `work` in one transaction of an engine, in the current thread."""
    with writer.begin() as db:
        return work(db)


def engine(data: Path, *, wait_s: float = 5, begin: str = "BEGIN IMMEDIATE", connections: int = 1) -> Engine:
    """Return an engine on the database of a data folder."""
    made = create_engine(
        f"sqlite:///{data / FILE_NAME}",
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": wait_s, "check_same_thread": False},
        hide_parameters=True,  # an error message must not carry a frame or a token's hash into the log
    )

    @event.listens_for(made, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin deferred transactions by itself
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return made


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, work)
