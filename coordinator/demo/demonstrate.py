"""The demonstration: nine hospitals, a relay and a coordinator on one machine, and the pooled answer.

Read `demonstrate` first. `stage` runs the processes, `screen` is the display, `evidence` and `canaries` search the
relay, and `outcome` compares the results.
"""

import asyncio
import csv
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from coordinator.demo import evidence
from coordinator.demo.canaries import search
from coordinator.demo.lung import lung_by_institution, write_csv
from coordinator.demo.outcome import DemoOutcome, curve, oracles
from coordinator.demo.screen import Screen
from coordinator.demo.stage import AT_ONCE, Hospital, Stage, command, followed
from coordinator.report.plots import Format, kaplan_meier_plot
from secagg.errors import ParameterError
from secagg.params import Profile, default_threshold

# Where the first and the second hospital are killed: before the upload is sent, and after it has arrived.
CRASHES = ("round-4-opened", "round-6-uploaded")
FIGURES: tuple[Format, ...] = ("png", "svg")
PLAN = Path(__file__).with_name("plan.toml")


async def demonstrate(*, sites: int, kill: int, port: int, out: Path, as_json: bool) -> None:
    """Run the demonstration and print its outcome.

    Args:
        sites: number of the trial's institutions to include.
        kill: number of hospitals to kill in the middle of a round, at most two and within the threshold.
        port: port of the relay; 0 picks a free one.
        out: folder for the figures and the report.
        as_json: whether to print one JSON object on stdout, and progress on stderr.

    Raises:
        ParameterError: the number of sites, or of sites to kill, is out of range.
    """
    began = time.monotonic()
    tables = dict(list(lung_by_institution().items())[:sites])
    _check(sites, len(tables), kill)
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = 120
    killed = list(tables)[1 : 1 + kill]
    with tempfile.TemporaryDirectory(prefix="secagg-demo-") as folder:
        stage = Stage.build(
            Path(folder), _write_tables(Path(folder), tables), dict(zip(killed, CRASHES, strict=False)), port
        )
        screen = Screen(console, stage.hospitals)
        try:
            with screen.showing():
                project = await _set_up(stage, screen)
                run, run_seconds = await _run(stage, screen, project)
        finally:
            await stage.close()
        screen.say("searching the relay for plaintext")
        flock = list(evidence.canaries(stage, tables, run))
        sightings = search(flock, stage.relay_folder, [stage.folder / "relay.log"])
        outcome = _outcome(stage, tables, run, out)
    report = DemoOutcome(
        **outcome,
        seconds=time.monotonic() - began,
        run_seconds=run_seconds,
        canaries=len(flock),
        sightings=sightings,
    )
    (out / "report.json").write_text(json.dumps(report.as_facts(), indent=2) + "\n")
    if as_json:
        sys.stdout.write(json.dumps(report.as_facts()) + "\n")
    else:
        report.show(console)


def _check(sites: int, available: int, kill: int) -> None:
    if not 3 <= sites <= available or available < sites:
        raise ParameterError("the trial has nine institutions with ten patients or more; ask for 3 to 9 sites")
    spare = min(sites - default_threshold(sites, Profile.MALICIOUS), len(CRASHES))
    if not 0 <= kill <= spare:
        raise ParameterError(
            f"of {sites} sites, at most {spare} can be killed; with more, too few would be left for a sum"
        )


def _write_tables(folder: Path, tables: Mapping[str, Any]) -> dict[str, Path]:
    """Write the sites' tables, each with a planted column that no query uses and no other party may see."""
    data = folder / "data"
    data.mkdir()
    files = {name: path for name, path in write_csv(data).items() if name in tables}
    for path in files.values():
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*header, evidence.PLANTED])
            writer.writerows([*row, f"canary-{secrets.token_hex(12)}"] for row in rows)
    return files


async def _set_up(stage: Stage, screen: Screen) -> str:
    """Start everything, invite the hospitals, have each officer confirm the roster, and return the project's ID."""
    from secagg.kernels import bits, gf16  # noqa: F401, PLC0415  # compiled once here, not by nine processes at once

    (stage.folder / "policy.toml").write_text('loss_rule = "continue"\nsingle_persons = true\n')
    screen.say("starting the relay")
    await stage.open_relay()
    screen.say(f"enrolling {len(stage.hospitals)} hospitals and the coordinator; each hospital imports its table")
    await stage.enrol_coordinator()
    await _side_by_side(stage.hospitals, lambda hospital: _enrol(stage, screen, hospital))
    project = await _invite(stage, screen)
    sealed = await command(["coordinator", "project", "seal", project, "--json"], stage.environment_of_coordinator())
    (stage.folder / "words").write_text(sealed["words"])
    plan = await command(["coordinator", "plan", "check", str(PLAN), "--json"], stage.environment_of_coordinator())
    screen.say(f"the review of the study plan finds {len(plan['findings'])} things for the officers to think about")
    screen.say(f"the roster's words: {sealed['words']}")
    screen.say("in practice, officers compare these words over the telephone; here they travel in a file")
    await _side_by_side(stage.hospitals, lambda hospital: _agree(stage, screen, hospital, project, plan["code"]))
    return project


async def _enrol(stage: Stage, screen: Screen, hospital: Hospital) -> None:
    await stage.enrol_hospital(hospital)
    screen.put(hospital.name, "enrolled, dataset imported")


async def _agree(stage: Stage, screen: Screen, hospital: Hospital, project: str, plan: str) -> None:
    words = str(stage.folder / "words")
    agree = ["participant", "project", "agree", project, "--words-file", words, "--plan", plan, "--json"]
    await command(agree, stage.environment_of(hospital))
    screen.put(hospital.name, "confirmed the roster's words and agreed to the plan")


async def _invite(stage: Stage, screen: Screen) -> str:
    """Create the project, invite all hospitals, and wait until each has answered according to its policy."""
    environment = stage.environment_of_coordinator()
    created = await command(
        ["coordinator", "project", "create", "NCCTG lung", "--plan", str(PLAN), "--json"], environment
    )
    await command(["coordinator", "project", "invite", created["id"], "--json"], environment)
    screen.say("each hospital answers the invitation according to its policy")
    while True:
        shown = await command(["coordinator", "project", "show", created["id"], "--json"], environment)
        for member in shown["members"]:
            screen.put(member["name"], f"{member['state']} {member['reason']}".strip())
        if all(member["state"] != "invited" for member in shown["members"]):
            return str(created["id"])
        await asyncio.sleep(0.2)


async def _run(stage: Stage, screen: Screen, project: str) -> tuple[dict[str, Any], float]:
    """Have the coordinator fit the model; return its report and the duration of the run in seconds."""
    outcome: dict[str, Any] = {}
    seconds = 0.0
    arguments = ["coordinator", "run", project, "--json"]
    async for event in followed(arguments, stage.environment_of_coordinator(), outcome):
        if event.get("event") == "progress":
            seconds = event["seconds"]
            screen.take(event)
    return outcome, seconds


def _outcome(stage: Stage, tables: Mapping[str, Any], run: dict[str, Any], out: Path) -> dict[str, Any]:
    """Return the part of the outcome that needs neither the relay's data nor the clock."""
    cox, kaplan_meier = run["results"]
    oracle, raw = oracles(tables, cox["sites"])
    out.mkdir(parents=True, exist_ok=True)
    figures = []
    for kind in FIGURES:
        figures.append(out / f"kaplan-meier.{kind}")
        figures[-1].write_bytes(kaplan_meier_plot(curve(kaplan_meier), kind, title="NCCTG lung cancer, secure sums"))
    return {
        "sites": list(tables),
        "killed": [hospital.name for hospital in stage.hospitals if hospital.is_killed],
        "survivors": run["rounds"][-1]["sites"],
        "rounds": len(run["rounds"]),
        "estimate": dict(zip(cox["names"], cox["coef"], strict=True)),
        "estimate_se": dict(zip(cox["names"], cox["se"], strict=True)),
        "oracle": oracle,
        "raw": raw,
        "bytes_per_site": run["bytes_per_site"],
        "figures": figures,
    }


async def _side_by_side(hospitals: list[Hospital], work: Any) -> None:
    """Run `work` for every hospital, at most `AT_ONCE` at a time."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(hospital: Hospital) -> None:
        async with slots:
            await work(hospital)

    await asyncio.gather(*(one(hospital) for hospital in hospitals))
