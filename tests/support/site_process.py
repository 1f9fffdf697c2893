"""A site at a relay: its folder and settings; its commands run in this process, its daemon in another."""

import asyncio
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from click.testing import Result
from typer.testing import CliRunner

from participant.commands.cli import app
from participant.settings.config import ParticipantConfig
from relay.party import keystore
from secagg.identity import Identity
from tests.support.relay_process import apart

PASSPHRASE = "correct horse battery staple"


@dataclass
class Site:
    """A site in its own folder, without any settings from the environment of the tests."""

    folder: Path
    relay: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    admin_port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def settings_file(self) -> Path:
        return self.folder / "participant.toml"

    @property
    def log(self) -> str:
        return (self.folder / "daemon.log").read_text()

    @property
    def environment(self) -> dict[str, str]:
        named = {
            "SECAGG_PARTICIPANT_DATA": str(self.data),
            "SECAGG_PARTICIPANT_PASSPHRASE": PASSPHRASE,
            "SECAGG_PARTICIPANT_ADMIN_PORT": str(self.admin_port),
            "SECAGG_PARTICIPANT_INVITATIONS_S": "0.5",
            "XDG_CONFIG_HOME": str(self.folder / "no-config"),
        }
        return named | ({"SECAGG_PARTICIPANT_RELAY": self.relay} if self.relay else {}) | dict(self.more)

    @property
    def config(self) -> ParticipantConfig:
        """The site's settings, as given by its environment."""
        return ParticipantConfig(data=self.data, relay=self.relay, passphrase=PASSPHRASE)

    def told(self, *words: str | Path, **options: Any) -> Result:
        """Run a command, which may fail."""
        runner = CliRunner(env={**_silenced(), **self.environment})
        return apart(lambda: runner.invoke(app, [str(word) for word in words], catch_exceptions=False, **options))

    def asked(self, *words: str | Path) -> dict[str, Any]:
        """Run a command that succeeds and return the JSON that it prints."""
        done = self.told(*words, "--json")
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def takes_over(self, identity: Identity) -> bytes:
        """Adopt the key of a party that the relay already knows; return the public key."""
        return keystore.store(self.data / "identity.json", identity._key.encode(), PASSPHRASE).public

    def start(self, **environment: str) -> None:
        """Start the daemon and wait until it reports that it is running."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("SECAGG_")}
        with (self.folder / "daemon.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "participant", "start", "--json"],
                env={**mine, **self.environment, **environment},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self.process.stdout.readline()
        assert line, self.log[-3000:]
        self.admin_port = json.loads(line)["admin_port"]

    def end(self) -> int | None:
        """Stop the daemon if it is running, and return its exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        code = self.process.wait(30)
        self.process.stdout.close()
        self.process = None
        return code

    async def admin(self, path: str) -> tuple[int, str]:
        """Send a request to the daemon's admin port."""
        url = f"http://127.0.0.1:{self.admin_port}/{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()

    async def metric(self, series: str) -> float:
        """Return the current value of a series, or 0 if it does not exist."""
        for line in (await self.admin("metrics"))[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name == f"secagg_participant_{series}":
                return float(value)
        return 0.0

    async def readiness(self) -> int:
        return (await self.admin("readyz"))[0]


async def until(is_so: Callable[[], Any], within_s: float = 30) -> None:
    """Poll until something is true, and fail if it does not become true in time."""
    deadline = time.monotonic() + within_s
    while True:
        found = is_so()
        if await found if inspect.isawaitable(found) else found:
            return
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.05)


@contextmanager
def site_in(folder: Path, relay: str = "", **more: str) -> Iterator[Site]:
    """Provide a site whose daemon is stopped at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    site = Site(folder, relay, more)
    try:
        yield site
    finally:
        site.end()


def _silenced() -> dict[str, None]:
    return {name: None for name in os.environ if name.startswith("SECAGG_")}
