"""Commands for runs and operation, as people type them; each runs in a thread here instead of its own process."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

from click.testing import Result
from typer.testing import CliRunner

from coordinator.commands.cli import app
from relay.client.parcels import Parcels
from relay.party import keystore
from tests.support.cohort import Cohort, cohort
from tests.support.network import KAPLAN_MEIER

PASSPHRASE = "correct horse battery staple"


async def told(there: Cohort, *words: str | Path, folder: str = "office") -> Result:
    """Run a command, which may fail."""
    mine = {name: None for name in os.environ if name.startswith("SECAGG_")}
    environment = {
        "SECAGG_COORDINATOR_RELAY": there.relay.url,
        "SECAGG_COORDINATOR_DATA": str(there.folder / folder),
        "SECAGG_COORDINATOR_PASSPHRASE": PASSPHRASE,
        "SECAGG_COORDINATOR_LEASE_S": "3",
        "SECAGG_COORDINATOR_ROUNDS": "4",
        "XDG_CONFIG_HOME": os.devnull,
    }
    runner = CliRunner(env={**mine, **environment})
    return await asyncio.to_thread(runner.invoke, app, [str(word) for word in words])


async def asked(there: Cohort, *words: str | Path, folder: str = "office") -> dict[str, Any]:
    """Run a command that succeeds and return the JSON that it prints."""
    done = await told(there, *words, "--json", folder=folder)
    assert done.exit_code == 0, (words, done.output, done.exception)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def test_runs_are_carried_out_listed_repeated_backed_up_and_gone_on_with_elsewhere(tmp_path: Path) -> None:
    keystore.create(tmp_path / "net/office/identity.json", PASSPHRASE)
    seed = keystore.seed_of(tmp_path / "net/office/identity.json", PASSPHRASE)
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps({"task": [KAPLAN_MEIER]}))
    async with cohort(tmp_path / "net", sites=3, seed=seed) as there:
        project = str(await there.project())
        set_ = await asked(there, "project", "tasks", project, file)
        assert [task["analysis"] for task in set_["tasks"]] == ["kaplan-meier"]
        first = await asked(there, "run", project, "--no-progress", "--within", "600")
        repeated = await asked(there, "retry", first["run"], "--no-progress")
        assert repeated["results"] == first["results"]
        listed = (await asked(there, "runs"))["runs"]
        assert [(one["run"], one["outcome"], one["repeats"]) for one in listed] == [
            (repeated["run"], "completed", first["run"]),
            (first["run"], "completed", None),
        ]
        assert (await told(there, "cancel", first["run"])).exit_code != 0

        kept = tmp_path / "kept"
        assert (await asked(there, "backup", kept))["runs"] == 2
        assert (await told(there, "backup", kept)).exit_code != 0  # never overwritten
        assert b"kaplan-meier" not in kept.read_bytes()
        restored = await asked(there, "restore", kept, folder="elsewhere")
        assert (restored["runs"], restored["open"]) == (2, [])
        shown = await asked(there, "show", first["run"], folder="elsewhere")
        assert shown["results"] == first["results"]
        again = await asked(there, "run", project, file, "--no-progress", folder="elsewhere")
        assert again["results"] == first["results"]
        assert (await asked(there, "logs", first["run"]))["lines"] == []
        north, *_ = there.sites
        lines = b'{"timestamp": "2026", "event": "round-opened", "round": 1, "run": "x"}\nno JSON\x07'
        async with there.settings().client(north.identity) as relay:
            parcels = Parcels(relay, north.identity, UUID(first["run"]), leads=False)
            for _ in range(2):  # sent again, a log has each line once
                await parcels.send_log(there.head.public, "daemon.jsonl", lines)
        assert (await asked(there, "logs", first["run"], "--site", north.name))["lines"] == [
            {"at": "", "site": north.name, "event": "no JSON?"},
            {"at": "2026", "site": north.name, "event": "round-opened", "round": 1},
        ]


async def test_a_run_that_was_open_when_the_backup_was_made_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    keystore.create(tmp_path / "net/office/identity.json", PASSPHRASE)
    seed = keystore.seed_of(tmp_path / "net/office/identity.json", PASSPHRASE)
    async with cohort(tmp_path / "net", sites=3, seed=seed) as there:
        project = await there.project()
        async with there.session("office") as session:
            run = await there.begin(session, project, KAPLAN_MEIER, {**KAPLAN_MEIER, "row_limit": 999})
        await asked(there, "backup", tmp_path / "unheard")
        pausing = asyncio.create_task(told(there, "resume", str(run), "--no-progress"))
        async with there.session("office") as session:
            while session.records.get(run).state not in {"running", "completed"}:  # noqa: ASYNC110  # another thread's
                await asyncio.sleep(0.05)
        assert (await told(there, "pause", str(run))).exit_code == 0
        assert (await pausing).exit_code != 0
        await asked(there, "backup", tmp_path / "kept")
        for name in ("unheard", "kept"):
            assert (await asked(there, "restore", tmp_path / name, folder=name))["open"] == [str(run)]
        report = await asked(there, "resume", str(run), "--no-progress", folder="kept")
        assert len(report["results"]) == 2
        late = await told(there, "resume", str(run), folder="unheard")
        assert late.exit_code != 0
        assert "is completed" in str(late.exception)
        there.assert_nobody_masked_twice()
