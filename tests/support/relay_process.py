"""A real relay in its own process on loopback, for tests of the relay and of everything that talks to it.

    with RelayProcess.start(tmp_path / "relay") as relay:
        relay.url, relay.admin_url, relay.data
        token = relay.token(role="coordinator")

`kill()` and `restart()` keep data and port, so that clients find the relay again.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp
from sqlalchemy import Connection

from relay.api.states import Role
from relay.server.core.config import RelayConfig
from relay.server.registry import join_tokens
from relay.server.store import migrate
from relay.server.store.connect import transact

READY_S = 30

T = TypeVar("T")


@dataclass
class RelayProcess:
    data: Path
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    admin_port: int = 0
    process: subprocess.Popen[str] | None = None
    database: str | None = None

    @classmethod
    @contextlib.contextmanager
    def start(
        cls,
        data: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        database: str | None = None,
    ) -> Iterator["RelayProcess"]:
        """Start a relay; `database` is a PostgreSQL URL, or None for SQLite in the folder."""
        relay = cls(data, arguments, environment or {}, database=database)
        prepare(relay.config)  # the relay would do this itself, but half a second slower
        relay.restart()
        try:
            yield relay
        finally:
            relay.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def config(self) -> RelayConfig:
        return RelayConfig(data=self.data, database=self.database)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Run a function in a transaction on the relay's database, as its commands do."""
        return apart(lambda: transact(self.config.database_url, work, wait_s=30))

    @property
    def log_file(self) -> Path:
        """The file with everything that the relay logged, across restarts."""
        return self.data.with_name(f"{self.data.name}.log")

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def token(self, role: str = "site", label: str = "test", ttl_s: float = 3600) -> str:
        """Create a join token, as `secagg-relay token create` does."""
        now = time.time()
        expires = now + ttl_s
        _, text = self.transact(
            lambda db: join_tokens.create(db, role=Role(role), label=label, now=now, expires=expires)
        )
        return text

    def restart(self, *, environment: Mapping[str, str] | None = None) -> None:
        """Start the process, on the same ports as before if it has already run."""
        self.kill()
        command = [sys.executable, "-m", "relay", "serve", "--json", "--data", str(self.data)]
        command += ["--port", str(self.port), "--admin-port", str(self.admin_port), *self.arguments]
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._settings() | dict(self.environment if environment is None else environment),
            )
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the relay did not start (exit {self.process.wait()}):\n{self.log[-3000:]}")
        ready = json.loads(line)
        self.port, self.admin_port = ready["port"], ready["admin_port"]

    async def polls_wait(self, number: int, within_s: float = 20) -> None:
        """Return when this many long polls wait at the relay."""
        deadline = time.monotonic() + within_s
        while f"secagg_relay_waiting_polls {number}.0" not in await self.metrics():
            assert time.monotonic() < deadline, f"{number} polls were expected"
            await asyncio.sleep(0.02)

    async def metrics(self) -> str:
        """Return the metrics that the admin port serves."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin_url}/metrics") as answer:
            return await answer.text()

    async def metric(self, series: str, within_s: float = 20) -> float:
        """Return a series' value once it exists and is not zero, or zero if time runs out."""
        deadline = time.monotonic() + within_s
        while True:
            for line in (await self.metrics()).splitlines():
                name, _, value = line.rpartition(" ")
                if name == f"secagg_relay_{series}" and float(value):
                    return float(value)
            if time.monotonic() > deadline:
                return 0.0
            await asyncio.sleep(0.1)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """Send SIGKILL if the process is still running."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until the process ends, and return its exit code."""
        return self._end(None)

    def _settings(self) -> dict[str, str]:
        """Return the relay's environment, without the secagg settings of whoever runs the tests."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("SECAGG_")}
        named = {} if self.database is None else {"SECAGG_RELAY_DATABASE": self.database}
        return mine | named | {"XDG_CONFIG_HOME": str(self.data.with_name("no-config"))}

    def _end(self, number: signal.Signals | None) -> int:
        if self.process is None:
            return 0
        if number is not None and self.alive():
            self.process.send_signal(number)
        code = self.process.wait(READY_S)
        self.process.stdout.close()
        self.process = None
        return code


def prepare(config: RelayConfig) -> str | None:
    """Prepare a relay's folder and database, even while an event loop is running."""
    return apart(lambda: asyncio.run(migrate.prepare(config)))


def apart(work: Callable[[], T]) -> T:
    """Run a function in a thread without an event loop: a command may start one of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()
