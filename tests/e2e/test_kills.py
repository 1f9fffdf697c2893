"""Sites die at labelled points and at random moments, over whole runs: nothing is lost, doubled or different.

In the environment, `KILLS` sets the number of deaths, `ROUNDS` the rounds of a run, `SECONDS` the time limit (`make
crash-sites`), and `SEED` the moments.
"""

import asyncio
import json
import os
import secrets
import sqlite3
import sys
import time
from collections import Counter
from pathlib import Path

from coordinator.demo.stage import command
from tests.e2e.test_network import SITES, assert_no_second_frame, assert_pooled
from tests.support.network import KAPLAN_MEIER, POLICY, Network, Stage, written
from tests.support.nursery import POINTS

KILLS = int(os.environ.get("KILLS", "12"))
SECONDS = float(os.environ.get("SECONDS", "60"))
ROUNDS = int(os.environ.get("ROUNDS", "2"))


class Deaths:
    """What the nursery says."""

    def __init__(self) -> None:
        self.by: Counter[str] = Counter()
        self.odd: list[dict] = []

    @property
    def number(self) -> int:
        return sum(self.by.values())

    async def read(self, process: asyncio.subprocess.Process) -> None:
        async for line in process.stdout:
            said = json.loads(line)
            self.by[said["by"].partition(":")[0]] += 1
            if said["signal"] != 9:
                self.odd.append(said)


async def enrolled(folder: Path) -> tuple[Network, list[dict]]:
    """Relay, coordinator and sites, none of which runs yet; and their settings for the nursery."""
    files = {name: written(folder, name, columns) for name, columns in SITES.items()}
    (folder / "policy.toml").write_text(POLICY)
    net = Network(Stage.build(folder, files, {}, 0))
    await net.stage.open_relay()
    await net.stage.enrol_coordinator()
    wards = []
    for one in net.stage.hospitals:
        token, environment = await net.stage._token("site", one.name), net.stage.environment_of(one)
        await command(["participant", "enroll", "--token", token, "--name", one.name, "--json"], environment)
        importing = ["participant", "data", "import", "lung", str(one.table), "--no-pictures", "--json"]
        await command(importing, environment)
        settings = {name.removeprefix("SECAGG_PARTICIPANT_").lower(): value for name, value in environment.items()} | {
            "anchor": str(folder / "anchors" / one.name / "count"),
            "poll_s": 2,
        }
        wards.append({"settings": settings, "log": str(folder / f"{one.name}.log")})
    return net, wards


async def test_sites_that_die_again_and_again(tmp_path, note_seed):
    """Recipe 1: kill -9 at every label and at random, over whole rounds."""
    seed = int(os.environ.get("SEED", secrets.randbits(32)))
    note_seed(seed)
    folder = tmp_path / "net"
    folder.mkdir()
    net, wards = await enrolled(folder)
    (folder / "wards.json").write_text(json.dumps(wards))
    deaths, reports, end = Deaths(), [], time.monotonic() + SECONDS
    nursery = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.nursery",
        str(seed),
        str(folder / "wards.json"),
        stdout=asyncio.subprocess.PIPE,
    )
    reading = asyncio.create_task(deaths.read(nursery))
    try:
        project = await net.project()
        while not reports or (deaths.number < KILLS and time.monotonic() < end):
            tasks = [KAPLAN_MEIER | {"grid": {"width": 7 + number, "count": 30}} for number in range(ROUNDS)]
            patient = {"SECAGG_COORDINATOR_GRACE_S": "1200", "SECAGG_COORDINATOR_STEP_S": "1200"}
            reports.append(await net.run(project, tasks, **patient))
    finally:
        nursery.terminate()
        await nursery.wait()
        await reading
        await net.close()
    print(f"SEED={seed}: {deaths.number} deaths ({dict(deaths.by)}), {len(reports)} runs of {ROUNDS} rounds")
    assert deaths.odd == []
    for report in reports:
        assert {tuple(one["sites"]) for one in report["results"]} == {tuple(sorted(SITES))}  # nobody was lost
        report["results"] = report["results"][:1]
        assert_pooled(report, list(SITES))
    assert_no_second_frame(net)
    _each_contribution_once(folder, [report["run"] for report in reports])


def _each_contribution_once(folder: Path, runs: list[str]) -> None:
    """One vector a round and site has ever been at the relay, and it is what the ledger says."""
    with sqlite3.connect(folder / "relay/relay.sqlite") as db:
        (leader,) = db.execute("SELECT key FROM site WHERE role = 'coordinator'").fetchone()
        vectors = Counter(db.execute("SELECT run, sender FROM blob WHERE sender != ?", (leader,)).fetchall())
        sent = Counter(
            db.execute("SELECT run, sender FROM message WHERE payload IS NOT NULL AND sender != ?", (leader,))
        )
    db.close()
    assert vectors == sent
    for name in SITES:
        with sqlite3.connect(folder / name / "journal.sqlite") as db:
            entries = [json.loads(entry) for (entry,) in db.execute("SELECT entry FROM release ORDER BY number")]
        db.close()
        for what in ("upload", "survivors"):
            rounds = Counter((entry["run"], entry["round"]) for entry in entries if entry["what"] == what)
            assert {run for run, _ in rounds} == set(runs), (name, what)
            assert set(rounds.values()) == {1}, (name, what)
            assert len(rounds) == len(runs) * ROUNDS


def test_every_labelled_point_of_a_site_is_among_those_that_it_dies_at():
    sources = [
        *Path("participant").rglob("*.py"),
        *Path("relay/client").rglob("*.py"),
        *Path("relay/party").rglob("*.py"),
    ]
    labels = {part.split('"')[0] for path in sources for part in path.read_text().split('crashpoint("')[1:]}
    assert labels == {point for point in POINTS if not point.startswith("round-")}
    named = {part.split('"')[0] for path in sources for part in path.read_text().split('crashpoint(f"')[1:]}
    assert {name.partition("{")[0] for name in named} == {"round-"}
