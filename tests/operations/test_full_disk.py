"""Disks that are full in the middle of a run, with real processes: everybody waits, says so, and goes on by themselves.

The folders of one site and of the coordinator are small file systems of their own (tmpfs), which only root may mount.
"""

import asyncio
import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import BinaryIO

import pytest

from relay.party.disk import RESERVE_NAME
from tests.e2e.test_network import SITES, assert_no_second_frame, assert_pooled
from tests.support.network import KAPLAN_MEIER, Network, network

SIZE = "40m"  # room for a reserve, and more


@pytest.fixture
def small_disks(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Folders of the site north and of the coordinator, each on a disk of its own."""
    folders = (tmp_path / "net" / "north", tmp_path / "net" / "coordinator")
    mounted = []
    try:
        for folder in folders:
            folder.mkdir(parents=True)
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", str(folder)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
            mounted.append(folder)
        yield folders
    finally:
        for folder in mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def emptied(folder: Path) -> None:
    (folder / "ballast").unlink()


@asynccontextmanager
async def filled(*folders: Path) -> AsyncIterator[None]:
    """Keep the folders' disks full while the block runs, whatever their owners give up."""

    async def fill(file: BinaryIO) -> None:
        while True:
            for size in (1 << 20, 4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
            await asyncio.sleep(0.1)

    files = [(folder / "ballast").open("wb", buffering=0) for folder in folders]
    filling = [asyncio.create_task(fill(file)) for file in files]
    try:
        yield
    finally:
        for task in filling:
            task.cancel()
        await asyncio.gather(*filling, return_exceptions=True)
        for folder, file in zip(folders, files, strict=True):
            file.close()
            emptied(folder)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if holds():
                return
            await asyncio.sleep(0.05)


def epochs(net: Network) -> int:
    with closing(sqlite3.connect(f"file:{net.stage.coordinator_folder}/journal.sqlite?mode=ro", uri=True)) as journal:
        return int(journal.execute("SELECT count(*) FROM epoch").fetchone()[0])


async def restarted_on_a_full_disk(net: Network, folder: Path) -> None:
    """A daemon that starts on a full disk waits, and serves once there is room."""
    hospital = net.hospital("north")
    assert hospital.process is not None
    hospital.process.terminate()
    await hospital.process.wait()
    (folder.parent / "north.log").unlink()
    async with filled(folder):
        starting = asyncio.create_task(
            net.stage._start(["participant", "start", "--json"], net.stage.environment_of(hospital), "north")
        )
        await until(lambda: (folder.parent / "north.log").exists() and "disk-trouble" in net.log("north"))
        assert not starting.done()
    hospital.process, _ = await starting
    assert hospital.process.returncode is None


async def test_a_run_outlasts_full_disks_of_a_site_and_of_its_coordinator(
    tmp_path: Path, small_disks: tuple[Path, Path]
) -> None:
    north, coordinator = small_disks
    async with network(tmp_path / "net", SITES) as net:
        project = await net.project()
        process = net.hospital("north").process
        assert process is not None
        process.send_signal(signal.SIGSTOP)  # so that the disks are full in the middle of the setup
        path = tmp_path / "tasks.json"
        path.write_text(json.dumps({"task": [KAPLAN_MEIER]}))
        with (tmp_path / "run.log").open("wb") as log:
            run = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "coordinator", "run", project, str(path), "--no-progress", "--json"),
                env={**os.environ, **net.stage.environment_of_coordinator(), "SECAGG_COORDINATOR_STEP_S": "300"},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        try:
            await until(lambda: epochs(net) == 1)
            async with filled(north, coordinator):
                process.send_signal(signal.SIGCONT)
                await until(lambda: "disk-trouble" in net.log("north"))
                await until(lambda: "disk-trouble" in (tmp_path / "run.log").read_text())
                assert not (north / RESERVE_NAME).exists()
                assert process.returncode is None
                assert run.returncode is None
            said, _ = await asyncio.wait_for(run.communicate(), 120)
        finally:
            if run.returncode is None:
                run.kill()
                await run.wait()
        assert run.returncode == 0, (tmp_path / "run.log").read_text()
        assert_pooled(json.loads(said), list(SITES))
        assert_no_second_frame(net)
        for name, text in (("north", net.log("north")), ("run", (tmp_path / "run.log").read_text())):
            assert "disk-works-again" in text, name
        await restarted_on_a_full_disk(net, north)


def test_the_disk_that_is_kept_full_is_full(small_disks: tuple[Path, Path]) -> None:
    async def check() -> None:
        async with filled(*small_disks):
            for folder in small_disks:
                await asyncio.sleep(0.3)
                with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                    (folder / "more").write_bytes(bytes(8192))

    asyncio.run(check())
