"""A real relay as its own process on loopback, for tests of the relay and of everything that speaks to it.

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from relay import migrate
from relay.cli import create_token
from relay.store.database import engine, transact
from relay.transitions import Role

READY_S = 30


@dataclass
class RelayProcess:
    data: Path
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    admin_port: int = 0
    process: subprocess.Popen[str] | None = None

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, data: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Iterator["RelayProcess"]:
        relay = cls(data, arguments, environment or {})
        migrate.prepare(data)  # the relay would do it, half a second more slowly
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
    def log_file(self) -> Path:
        """All that the relay logged, over its restarts."""
        return self.data.with_name(f"{self.data.name}.log")

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def token(self, role: str = "site", label: str = "test", ttl_s: float = 3600) -> str:
        """Make a join token, as `secagg-relay token create` does."""
        return make_token(self.data, role=role, label=label, ttl_s=ttl_s)

    def restart(self, *, environment: Mapping[str, str] | None = None) -> None:
        """Start the process, again on the same ports if it ran before."""
        self.kill()
        command = [sys.executable, "-m", "relay", "serve", "--json", "--data", str(self.data)]
        command += ["--port", str(self.port), "--admin-port", str(self.admin_port), *self.arguments]
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(self.data) | dict(self.environment if environment is None else environment),
            )
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the relay did not start (exit {self.process.wait()}):\n{self.log[-3000:]}")
        ready = json.loads(line)
        self.port, self.admin_port = ready["port"], ready["admin_port"]

    async def polls_wait(self, number: int, within_s: float = 20) -> None:
        """Return when this many long polls wait at the relay."""
        deadline = time.monotonic() + within_s
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{self.admin_url}/metrics") as answer:
                    metrics = await answer.text()
                if f"secagg_relay_waiting_polls {number}.0" in metrics:
                    return
                assert time.monotonic() < deadline, f"{number} polls were expected"
                await asyncio.sleep(0.02)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until the process ends by itself; returns the exit code."""
        return self._end(None)

    def _end(self, number: signal.Signals | None) -> int:
        if self.process is None:
            return 0
        if number is not None and self.alive():
            self.process.send_signal(number)
        code = self.process.wait(READY_S)
        self.process.stdout.close()
        self.process = None
        return code


def make_token(data: Path, *, role: str = "site", label: str = "test", ttl_s: float = 3600) -> str:
    """Make a join token in a relay's data folder."""
    writer = engine(data)
    now = time.time()
    try:
        _, text = transact(
            writer, lambda db: create_token(db, role=Role(role), label=label, now=now, expires=now + ttl_s)
        )
    finally:
        writer.dispose()
    return text


def _environment(data: Path) -> dict[str, str]:
    """Nothing of the settings of whoever runs the tests."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("SECAGG_")}
    return mine | {"XDG_CONFIG_HOME": str(data.with_name("no-config"))}
