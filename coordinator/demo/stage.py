"""The stage: relay, hospitals and coordinator as real processes, set up with the commands that people would type.

Nothing here reaches inside a party: a hospital could do by hand all that the demonstration does. Two things differ from
practice: the twelve words travel in a file instead of over the telephone, and this program generates the passphrases.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secagg.errors import SecaggError

AT_ONCE = max(2, os.cpu_count() or 2)  # number of commands that run side by side
WAIT_S = 60.0


class StageError(SecaggError):
    """A process of the demonstration failed; the message says which, and what it printed."""


@dataclass
class Hospital:
    """A site: its folder, passphrase and process, and the point at which it will be killed, if any."""

    name: str
    table: Path
    folder: Path
    passphrase: str
    crash_at: str = ""
    process: asyncio.subprocess.Process | None = None

    @property
    def is_killed(self) -> bool:
        return self.process is not None and self.process.returncode == -signal.SIGKILL


@dataclass
class Stage:
    """All processes, and the folders they write to.

    Attributes:
        folder: folder that contains a folder for each party.
    """

    folder: Path
    hospitals: list[Hospital]
    port: int
    url: str = ""
    relay: asyncio.subprocess.Process | None = None
    _tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def build(cls, folder: Path, tables: Mapping[str, Path], crashes: Mapping[str, str], port: int) -> "Stage":
        """Lay out the folders; `tables` are the sites' CSV files, `crashes` the points at which sites are killed."""
        hospitals = [
            Hospital(name, table, folder / name, secrets.token_urlsafe(24), crashes.get(name, ""))
            for name, table in tables.items()
        ]
        return cls(folder, hospitals, port)

    @property
    def relay_folder(self) -> Path:
        return self.folder / "relay"

    @property
    def coordinator_folder(self) -> Path:
        return self.folder / "coordinator"

    def coordinator_passphrase(self) -> str:
        return (self.folder / "coordinator.passphrase").read_text().strip()

    async def open_relay(self) -> None:
        """Start the relay and wait until it serves."""
        self.relay, ready = await self._start(
            [
                "relay",
                "serve",
                "--data",
                str(self.relay_folder),
                "--port",
                str(self.port),
                "--admin-port",
                "0",
                "--json",
            ],
            {},
            "relay",
        )
        self.url = f"http://127.0.0.1:{ready['port']}"

    async def enrol_hospital(self, hospital: Hospital) -> None:
        """Have the operator create a token; have the hospital enrol with it, import its table and start its daemon."""
        token = await self._token("site", hospital.name)
        environment = self.environment_of(hospital)
        await command(["participant", "enroll", "--token", token, "--name", hospital.name, "--json"], environment)
        importing = ["participant", "data", "import", "lung", str(hospital.table), "--no-pictures", "--json"]
        await command(importing, environment)
        crash = {"SECAGG_CRASH_AT": hospital.crash_at} if hospital.crash_at else {}
        hospital.process, _ = await self._start(["participant", "start", "--json"], environment | crash, hospital.name)

    async def enrol_coordinator(self) -> None:
        """Have the coordinator enrol."""
        (self.folder / "coordinator.passphrase").write_text(secrets.token_urlsafe(24))
        token = await self._token("coordinator", "trial office")
        await command(
            ["coordinator", "enroll", "--token", token, "--name", "trial office", "--json"],
            self.environment_of_coordinator(),
        )

    async def _token(self, role: str, label: str) -> str:
        made = await command(
            ["relay", "token", "create", "--data", str(self.relay_folder), "--role", role, "--label", label, "--json"],
            {},
        )
        self._tokens[label] = made["token"]
        return str(made["token"])

    @property
    def secrets_in_words(self) -> list[str]:
        """The join tokens and passphrases, which must not appear at the relay."""
        phrases = [hospital.passphrase for hospital in self.hospitals]
        return [*self._tokens.values(), *phrases, self.coordinator_passphrase()]

    def environment_of(self, hospital: Hospital) -> dict[str, str]:
        """Return a hospital's settings; its policy allows what the demonstration asks for."""
        return {
            "SECAGG_PARTICIPANT_RELAY": self.url,
            "SECAGG_PARTICIPANT_DATA": str(hospital.folder),
            "SECAGG_PARTICIPANT_PASSPHRASE": hospital.passphrase,
            "SECAGG_PARTICIPANT_POLICY": str(self.folder / "policy.toml"),
            "SECAGG_PARTICIPANT_ADMIN_PORT": "0",
            "SECAGG_PARTICIPANT_INVITATIONS_S": "0.5",
        }

    def environment_of_coordinator(self) -> dict[str, str]:
        return {
            "SECAGG_COORDINATOR_RELAY": self.url,
            "SECAGG_COORDINATOR_DATA": str(self.coordinator_folder),
            "SECAGG_COORDINATOR_PASSPHRASE_FILE": str(self.folder / "coordinator.passphrase"),
            "SECAGG_COORDINATOR_STEP_S": "60",
            "SECAGG_COORDINATOR_GRACE_S": "3",
        }

    async def close(self) -> None:
        """Stop all running processes, the relay last."""
        running = [one.process for one in self.hospitals if one.process is not None and one.process.returncode is None]
        for process in running:
            process.terminate()
        await asyncio.gather(*(process.wait() for process in running))
        if self.relay is not None and self.relay.returncode is None:
            self.relay.terminate()
            await self.relay.wait()

    async def _start(
        self, arguments: list[str], environment: Mapping[str, str], name: str
    ) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
        """Start a daemon with its log in a file, and return it with the line that reports it ready."""
        log = (self.folder / f"{name}.log").open("wb")
        try:
            process = await asyncio.create_subprocess_exec(
                *_python(arguments), env=_clean(environment), stdout=asyncio.subprocess.PIPE, stderr=log
            )
        finally:
            log.close()
        assert process.stdout is not None  # a pipe
        try:
            line = await asyncio.wait_for(process.stdout.readline(), WAIT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise StageError(f"{name} was not ready within {WAIT_S:g} s") from None
        if not line:
            await process.wait()
            raise StageError(f"{name} did not start: {(self.folder / f'{name}.log').read_text()[-2000:]}")
        return process, json.loads(line)


async def command(arguments: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a command to completion and return the JSON object that it prints.

    Raises:
        StageError: the command failed; the message contains its output.
    """
    process = await asyncio.create_subprocess_exec(
        *_python(arguments),
        env=_clean(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaint = await process.communicate()
    if process.returncode:
        raise StageError(f"{' '.join(arguments[:3])} failed: {complaint.decode()[-2000:]}")
    found: dict[str, Any] = json.loads(output)
    return found


async def followed(
    arguments: list[str], environment: Mapping[str, str], outcome: dict[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """Run a command, yield the JSON lines that it writes to stderr, and store its final output in `outcome`.

    Raises:
        StageError: the command failed; the message contains the last lines of its output.
    """
    process = await asyncio.create_subprocess_exec(
        *_python(arguments),
        env=_clean(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    assert process.stdout is not None and process.stderr is not None  # noqa: PT018 - pipes
    output = asyncio.create_task(process.stdout.read())
    said = []
    async for line in process.stderr:
        text = line.decode()
        said.append(text)
        if text.startswith("{"):
            yield json.loads(text)
    if await process.wait():
        raise StageError(f"{' '.join(arguments[:2])} failed: {''.join(said[-5:])}")
    outcome.update(json.loads(await output))


def _python(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", *arguments]


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with its secagg settings replaced by those given."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("SECAGG_")}
    return {**mine, "XDG_CONFIG_HOME": os.devnull, **environment}
