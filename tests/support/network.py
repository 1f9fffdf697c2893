"""A small hospital network of real processes: relay, sites and coordinator, with tables made for the test.

async with network(tmp_path, {"north": table, ...}) as net:
    project = await net.project(terms)
    report = await net.run(project, tasks)
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.demo.stage import Hospital, Stage, StageError, command

TERMS = """
purpose = "a test"
dataset = "lung"
columns = ["age", "status", "time"]
statistics = ["event-counts", "moments"]
loss_rule = "continue"
"""
KAPLAN_MEIER = {
    "analysis": "kaplan-meier",
    "dataset": "lung",
    "time": "time",
    "event": "status",
    "minimum_persons": 1,  # a week or two has one event
    "row_limit": 1000,
    "grid": {"width": 7, "count": 30},
}
POLICY = 'without_plan = "answer"\nloss_rule = "continue"\nsingle_persons = true\nminimum_site_difference = 1\n'


def table(seed: int, rows: int = 20) -> dict[str, np.ndarray]:
    """Return a site's table: times up to 200 days, two thirds with an event."""
    draw = np.random.default_rng(seed)  # noqa: TID251 - made-up patients
    return {
        "time": np.ceil(draw.exponential(80, rows)).clip(1, 200),
        "status": (draw.random(rows) < 2 / 3).astype(float),
        "age": np.round(draw.normal(60, 10, rows)),
    }


def written(folder: Path, name: str, columns: Mapping[str, np.ndarray]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.csv"
    lines = [",".join(columns)] + [",".join(f"{v:g}" for v in row) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


class Network:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._nurses: list[asyncio.Task[None]] = []

    def hospital(self, name: str) -> Hospital:
        return next(one for one in self.stage.hospitals if one.name == name)

    async def coordinator(self, *arguments: str, **environment: str) -> dict[str, Any]:
        return await command(
            ["coordinator", *arguments, "--json"], {**self.stage.environment_of_coordinator(), **environment}
        )

    async def relay(self, *arguments: str) -> dict[str, Any]:
        return await command(["relay", *arguments, "--data", str(self.stage.relay_folder), "--json"], {})

    async def site(self, name: str, *arguments: str) -> dict[str, Any]:
        return await command(["participant", *arguments, "--json"], self.stage.environment_of(self.hospital(name)))

    async def invited(self, terms: str = TERMS, unfit: Collection[str] = ()) -> tuple[str, dict[str, dict[str, str]]]:
        """Create a project, invite everybody and return its ID with the members once all have answered.

        Sites in `unfit`, whose data do not fit the terms, do not answer; their logs say why.
        """
        path = self.stage.folder / "terms.toml"
        path.write_text(terms)
        project = (await self.coordinator("project", "create", "test", "--terms", str(path)))["id"]
        await self.coordinator("project", "invite", project)
        while True:
            shown = await self.coordinator("project", "show", project)
            members = {member["name"]: member for member in shown["members"]}
            answered = all(member["state"] != "invited" for name, member in members.items() if name not in unfit)
            if answered and all("invitation-waits" in self.log(name) for name in unfit):
                return project, members
            await asyncio.sleep(0.2)

    async def project(self, terms: str = TERMS) -> str:
        """Create a project that every site which joined has confirmed."""
        project, members = await self.invited(terms)
        words = (await self.coordinator("project", "seal", project))["words"]
        joined = [name for name, member in members.items() if member["state"] == "joined"]
        await asyncio.gather(*(self.site(name, "project", "accept", project, "--words", words) for name in joined))
        return project

    async def run(self, project: str, tasks: Any = None, *options: str, **environment: str) -> dict[str, Any]:
        path = self.stage.folder / "tasks.json"
        path.write_text(json.dumps({"task": tasks or [KAPLAN_MEIER]}))
        return await self.coordinator("run", project, str(path), "--no-progress", *options, **environment)

    def nurse(self, name: str) -> None:
        """Restart a site whenever it dies, as a service manager would, but without its crash point."""
        self._nurses.append(asyncio.create_task(self._watch(self.hospital(name))))

    async def _watch(self, hospital: Hospital) -> None:
        await hospital.process.wait()
        with (self.stage.folder / f"{hospital.name}.log").open("ab") as log:
            hospital.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "participant",
                "start",
                env={**os.environ, **self.stage.environment_of(hospital)},
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
            )

    def log(self, name: str) -> str:
        return (self.stage.folder / f"{name}.log").read_text()

    async def close(self) -> None:
        for nurse in self._nurses:
            nurse.cancel()
        await asyncio.gather(*self._nurses, return_exceptions=True)
        await self.stage.close()


@contextlib.asynccontextmanager
async def network(
    folder: Path, tables: Mapping[str, Mapping[str, np.ndarray]], crashes: Mapping[str, str] | None = None
) -> AsyncIterator[Network]:
    """Start relay and sites, and enrol everybody; a site in `crashes` dies at the point named there."""
    files = {name: written(folder, name, columns) for name, columns in tables.items()}
    (folder / "policy.toml").write_text(POLICY)
    net = Network(Stage.build(folder, files, crashes or {}, 0))
    try:
        await net.stage.open_relay()
        await net.stage.enrol_coordinator()
        await asyncio.gather(*(net.stage.enrol_hospital(one) for one in net.stage.hospitals))
        yield net
    finally:
        await net.close()


__all__ = ["KAPLAN_MEIER", "POLICY", "TERMS", "Network", "StageError", "network", "table"]
