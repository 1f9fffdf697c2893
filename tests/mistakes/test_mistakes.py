"""Mistakes that people make, typed into the real programs: each answer says what was wrong and what to do.

One small network of processes serves all of them. A command that is a mistake changes nothing, so their order does not
matter.
"""

import asyncio
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.demo.stage import _clean
from tests.mistakes.mistakes import FILES, MISTAKES, UNUSED_TOKEN, Mistake
from tests.support.network import Network, network, table

OF_A_LIBRARY = re.compile(
    r"Traceback|pydantic|Errno|Extra inputs|Field required|Input should|Value error|validation error|"
    r"NoneType|object at 0x|<class|KeyError|TypeError|aiohttp|sqlalchemy",
    re.IGNORECASE,
)
WITHIN_S = 60.0  # a person waits; a loaded machine is slow


@dataclass(frozen=True)
class Scene:
    """A network whose project has run once, and what a command line may refer to."""

    net: Network
    folder: Path
    places: dict[str, str]

    def environment(self, who: str) -> dict[str, str]:
        site = self.net.stage.environment_of(self.net.hospital("north"))
        coordinator = self.net.stage.environment_of_coordinator()
        return {
            "site": site,
            "fresh site": site | {"SECAGG_PARTICIPANT_DATA": str(self.folder / "fresh")},
            "coordinator": coordinator,
            "fresh coordinator": coordinator | {"SECAGG_COORDINATOR_DATA": str(self.folder / "fresh-coordinator")},
            "relay": {},
        }[who]

    async def typed(self, mistake: Mistake) -> tuple[int, str]:
        """Type a command line and return its exit code and all that it wrote."""
        line = mistake.line.format_map(self.places)
        environment = self.environment(mistake.who) | mistake.settings
        given = {name: value.format_map(self.places) for name, value in environment.items() if value}
        program = {"site": "participant", "coordinator": "coordinator", "relay": "relay"}[mistake.who.split()[-1]]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", program, *shlex.split(line),
            env=_clean(given), cwd=self.folder, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            written, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            pytest.fail(f"it did not end within {WITHIN_S:g} s: {line}")
        assert process.returncode is not None
        return process.returncode, " ".join(re.sub(r"[│╭╮╰╯─]", " ", written.decode()).split())


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    tables = {name: table(seed) for seed, name in enumerate(("north", "south", "west"))}
    async with network(folder / "net", tables) as net:
        project = await net.project()
        run = (await net.run(project))["run"]
        words = (await net.site("north", "project", "show", project))["words"].split()
        places = {
            "project": project,
            "run": run,
            "words": " ".join(words),
            "one_wrong": " ".join([*words[:4], "zebra" if words[4] != "zebra" else "zero", *words[5:]]),
            "eleven": " ".join(words[:-1]),
            "port": net.stage.url.rpartition(":")[2],
            "relay": str(net.stage.relay_folder),
        }
        made = Scene(net, folder, places)
        await made.typed(UNUSED_TOKEN)  # makes the fresh site's key, which the relay does not know
        yield made


async def test_each_mistake_is_named_and_says_what_to_do(tmp_path: Path) -> None:
    async with scene(tmp_path) as there:
        turns = asyncio.Semaphore(4)

        async def complaints(mistake: Mistake) -> list[str]:
            async with turns:
                code, written = await there.typed(mistake)
            wanted = [said.format_map(there.places) for said in mistake.says]
            missed = [f"does not say {said!r}" for said in wanted if said not in written]
            missed += [f"speaks as a library does: {found.group()}" for found in OF_A_LIBRARY.finditer(written)]
            missed += [f"exits with {code}, not {mistake.code}"] if code != mistake.code else []
            return [f"{mistake.who}: {mistake.line}\n  {'; '.join(missed)}\n  {written}"] if missed else []

        found = await asyncio.gather(*map(complaints, MISTAKES))
        assert not (text := "\n".join(line for lines in found for line in lines)), text
        await _nothing_changed(there)
        await _what_ctrl_c_interrupts_can_be_resumed(there)


async def _nothing_changed(there: Scene) -> None:
    projects = (await there.net.coordinator("project", "list"))["projects"]
    runs = (await there.net.coordinator("runs"))["runs"]
    assert [one["id"] for one in projects] == [there.places["project"]]
    assert [one["run"] for one in runs] == [there.places["run"]]
    assert [one["name"] for one in (await there.net.site("north", "data", "list"))["datasets"]] == ["lung"]
    assert not (there.folder / "fresh-coordinator").exists()


async def _what_ctrl_c_interrupts_can_be_resumed(there: Scene) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coordinator", "run", "test", "curve.toml", "--no-progress",
        env=_clean(there.environment("coordinator")), cwd=there.folder,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    run = (await process.stderr.readline()).decode().removeprefix("run ").strip()
    process.send_signal(signal.SIGINT)
    said = (await process.stderr.read()).decode()
    assert await process.wait() == 130, said
    assert f"interrupted; nothing is lost, resume with: secagg-coordinator resume {run}" in said
    assert "Traceback" not in said
    listed = (await there.net.coordinator("runs"))["runs"]
    assert {one["run"]: one["state"] for one in listed}[run] in {"interrupted", "created"}
    report = await there.net.coordinator("resume", run[:8], "--no-progress")
    assert report["results"]


def test_there_are_sixty() -> None:
    assert len({(one.who, one.line, str(one.settings)) for one in MISTAKES}) == len(MISTAKES) >= 60
