"""One analysis through every interface: notebook, program, file, command, and the simulation beforehand."""

import asyncio
import contextlib
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from coordinator import connect, connect_async
from tests.support.network import KAPLAN_MEIER, Network, network, table

SITES = {name: table(seed) for seed, name in enumerate(("north", "south", "west"))}


def settings(net: Network) -> dict[str, Any]:
    return {
        "relay": net.stage.url,
        "data": net.stage.coordinator_folder,
        "passphrase": net.stage.coordinator_passphrase(),
        "step_s": 60,
        "grace_s": 3,
    }


def in_a_notebook(net: Network, project: str) -> tuple[str, list[Any]]:
    with connect(**settings(net), progress=False) as session:
        assert [one.name for one in session.projects()] == ["test"]
        run = session.project(project).run(KAPLAN_MEIER)
        assert session.earlier(run.id).to_dict() == run.to_dict()
        assert session.runs()[0].outcome == "completed"
        return str(run.id), run.to_dict()["results"]


def kept_at(net: Network, name: str, run: str) -> bytes:
    """Return the receipt of a run that a site keeps and does not refuse, once it has come."""
    with contextlib.closing(sqlite3.connect(net.hospital(name).folder / "journal.sqlite")) as database:
        while True:
            row = database.execute("SELECT data FROM receipt WHERE run = ? AND fault = ''", (run,)).fetchone()
            if row:
                return row[0]
            time.sleep(0.3)


async def assert_everybody_keeps_the_receipt(net: Network, run: str, file: Path) -> None:
    await net.coordinator("receipt", "save", run, str(file))
    kept = await asyncio.gather(*(asyncio.to_thread(kept_at, net, name, run) for name in SITES))
    assert set(kept) == {await asyncio.to_thread(file.read_bytes)}
    held = await net.site("north", "receipt", "verify", run)
    assert held["in_keeping_with_ledger"]
    assert held["outcome"] == "completed"
    (only,) = held["rounds"]
    assert (only["query"]["statistic"], len(only["uploads"])) == ("event-counts", 3)


async def test_every_way_leads_to_the_same_numbers(tmp_path: Path) -> None:
    file = tmp_path / "analysis.json"
    file.write_text(json.dumps({"project": "test", "task": [KAPLAN_MEIER]}))
    async with network(tmp_path / "net", SITES) as net:
        project = await net.project()
        by_command = await net.run(project)
        by_file = await net.coordinator("run", str(file), "--no-progress")
        run, in_notebook = await asyncio.to_thread(in_a_notebook, net, "test")
        async with connect_async(**settings(net), progress=False) as session:
            in_program = (await (await session.project(project)).run(file)).to_dict()["results"]
            outcomes = [line.outcome for line in await session.runs()]
        shown = await net.coordinator("show", run)
        await assert_everybody_keeps_the_receipt(net, run, tmp_path / "run.receipt")
    with connect(simulate=SITES, progress=False) as session:
        beforehand = session.project("test").run(file).to_dict()

    expected = by_command["results"]
    assert [result["rows"] for result in expected] == [60]
    for results in (by_file["results"], in_notebook, in_program, shown["results"], beforehand["results"]):
        assert results == expected
    assert outcomes == ["completed"] * 4
    assert beforehand["rounds"] == by_command["rounds"]
