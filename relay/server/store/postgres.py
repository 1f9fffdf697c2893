"""PostgreSQL, for several replicas of the relay: the same functions as on SQLite, run over asyncpg.

All transactions are REPEATABLE READ. Writes take turns by a lock that is held from before their view to their commit,
so that what a write reads is what its commit meets, as on SQLite. Those that only append (a message, a piece of a
payload) go without the turn and side by side: where two of them meet in a row, one is undone by the database and runs
again.

A transaction that failed for a reason that passes (a conflict, a deadlock, a connection that broke) runs again, for as
long as the wait allows. Where the connection broke during the commit, nobody knows whether it took place; the second
run finds the nonce of the first and gives its answer.
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
_TURN = text("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE")  # taken before the view; its chain has one writer anyway
_MIGRATION_LOCK = 0x5EC_A66
_ALONE = text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")

_CONFLICT = {"40001", "40P01", "0A000"}  # serialization failure, deadlock, a plan from before a migration
_BUSY = {"55P03", "57014", "53300"}  # lock or statement timeout, too many connections
_FULL = {"53100"}
_BROKEN = "08000"
_IDLE = "60s"  # of a replica whose machine died, which holds locks
# Classes of SQLSTATE: another transaction was first to add the same thing (the next run finds it), the connection
# broke, the server stops or starts.
_PASSING = ("23", "08", "57P")

T = TypeVar("T")


class _PassingError(DatabaseUnavailableError):
    """A failure after which the transaction runs again."""


class PostgresDatabase:
    """A PostgreSQL database. See `relay.server.store.database.Database`.

    Args:
        url: where it is, with the user and, if it has one, the password.
        wait_s: longest wait for a connection, for a lock, and for all runs of one transaction together.
        connections: how many are open at a time.
    """

    def __init__(self, url: URL, *, wait_s: float, connections: int) -> None:
        self._wait_s = wait_s
        self._engine = _engine(url, wait_s, connections)
        self._writer = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def write(self, work: Callable[[Connection], T], *, appends: bool = False) -> T:
        """Run `work` in a transaction, again while it fails for a reason that passes."""

        def turn(db: Connection) -> T:
            db.execute(_TURN)
            return work(db)

        return await self._repeated(lambda: _transact(self._writer, work if appends else turn))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` over one consistent view of what was committed before."""
        return await self._repeated(lambda: _transact(self._reader, work))

    async def alone(self, work: Callable[[Connection], T]) -> T:
        """Run a change of the schema; each of its statements sees what was committed before that statement."""

        def locked(db: Connection) -> T:
            db.execute(_ALONE)
            return work(db)

        return await self._repeated(lambda: _transact(self._engine, locked))

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
    except asyncpg.PostgresError as error:  # while it connected
        raise _translated(error.sqlstate or "", str(error)) from error
    except PoolTimeoutError:
        raise DatabaseBusyError("all connections to the database are in use") from None
    except (OSError, TimeoutError) as error:  # it does not listen, or does not answer
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
        "command_timeout": 60.0,  # an address that swallows packets gives no error by itself
        "server_settings": {
            "application_name": "secagg-relay",
            "lock_timeout": f"{round(wait_s * 1000)}ms",
            "idle_in_transaction_session_timeout": _IDLE,
            "jit": "off",  # compiling takes longer than any of these statements
        },
    }
    return create_async_engine(
        url.set(drivername=_DRIVER),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=wait_s,
        connect_args=options,
        hide_parameters=True,  # an error message must not carry a frame or a token's hash into the log
    )
