"""PostgreSQL, for several replicas of the relay: runs the same functions as on SQLite, over asyncpg.

All transactions are REPEATABLE READ. Writes take turns using a lock held from before their snapshot until their commit,
so that a write commits against exactly what it read, as on SQLite. Writes that only append (a message, a piece of a
payload) skip the turn and run concurrently: if two of them touch the same row, the database rolls one back and it runs
again.

A transaction that failed for a temporary reason (a conflict, a deadlock, a broken connection) runs again for as long as
the wait allows. If the connection broke during the commit, its outcome is unknown; the second run finds the nonce of
the first and returns its answer.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from relay.server.core.storage_errors import DatabaseBusyError, DatabaseFullError, DatabaseUnavailableError

_DRIVER = "postgresql+asyncpg"
_TURN = text(
    "LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE"
)  # taken before the snapshot; the chain has one writer anyway
_MIGRATION_LOCK = 0x5EC_A66
_ALONE = text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")

_CONFLICT = {"40001", "40P01", "0A000"}  # serialization failure, deadlock, a plan from before a migration
_BUSY = {"55P03", "57014", "53300"}  # lock or statement timeout, too many connections
_FULL = {"53100"}
_BROKEN = "08000"
_IDLE = "60s"  # for replicas whose machine died holding locks
# SQLSTATE classes: another transaction was first to add the same row (the next run finds it), the connection broke,
# the server is stopping or starting.
_PASSING = ("23", "08", "57P")

T = TypeVar("T")


class _PassingError(DatabaseUnavailableError):
    """A failure after which the transaction runs again."""


class PostgresDatabase:
    """A PostgreSQL database. See `relay.server.store.database.Database`.

    Args:
        url: URL with the user and, if needed, the password.
        wait_s: longest wait for a connection, for a lock, and for all tries of a transaction together.
        connections: maximum number of open connections.
    """

    def __init__(self, url: URL, *, wait_s: float, connections: int) -> None:
        self._wait_s = wait_s
        self._engine = _engine(url, wait_s, connections)
        self._writer = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def write(self, work: Callable[[Connection], T], *, appends: bool = False) -> T:
        """Run `work` in a transaction, and rerun it while it fails for a temporary reason."""

        def turn(db: Connection) -> T:
            db.execute(_TURN)
            return work(db)

        return await self._repeated(lambda: _transact(self._writer, work if appends else turn))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` over one consistent view of what was committed before."""
        return await self._repeated(lambda: _transact(self._reader, work))

    async def alone(self, work: Callable[[Connection], T]) -> T:
        """Run a schema change; each of its statements sees what was committed before that statement."""

        def locked(db: Connection) -> T:
            db.execute(_ALONE)
            return work(db)

        return await self._repeated(lambda: _transact(self._engine, locked))

    async def compact(self) -> bool:
        """Leave it to the server's autovacuum."""
        return False

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    async def _repeated(self, run: Callable[[], Awaitable[T]]) -> T:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_PassingError),
            stop=stop_after_delay(self._wait_s),
            wait=wait_random_exponential(multiplier=0.005, max=0.5),
            reraise=True,
        ):
            with attempt:
                return await run()
        raise AssertionError("tenacity returns or raises")


async def _transact(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        raise _translated(_BROKEN if error.connection_invalidated else state, str(error.orig)) from error
    except asyncpg.PostgresError as error:  # while connecting
        raise _translated(error.sqlstate or "", str(error)) from error
    except PoolTimeoutError:
        raise DatabaseBusyError("all connections to the database are in use") from None
    except (OSError, TimeoutError) as error:  # not listening, or not responding
        raise _translated(_BROKEN, type(error).__name__) from error


def _translated(state: str, reason: str) -> Exception:
    words = f"the database failed: {reason.partition(chr(10))[0]}"
    if state in _CONFLICT or state.startswith(_PASSING):
        return _PassingError(words)
    if state in _FULL:
        return DatabaseFullError("the disk of the database is full")
    if state in _BUSY:
        return DatabaseBusyError("the database is busy")
    return DatabaseUnavailableError(words)


def _engine(url: URL, wait_s: float, connections: int) -> AsyncEngine:
    options: dict[str, Any] = {
        "timeout": wait_s,
        "command_timeout": 60.0,  # an address that drops packets raises no error
        "server_settings": {
            "application_name": "secagg-relay",
            "lock_timeout": f"{round(wait_s * 1000)}ms",
            "idle_in_transaction_session_timeout": _IDLE,
            "jit": "off",  # compiling would take longer than these statements
        },
    }
    return create_async_engine(
        url.set(drivername=_DRIVER),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=wait_s,
        connect_args=options,
        hide_parameters=True,  # keeps frames and token hashes out of the log
    )
