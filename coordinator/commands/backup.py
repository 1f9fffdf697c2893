"""`secagg-coordinator backup` and `restore`."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.commands.options import CoordinatorOptions
from coordinator.runs import backup as backups
from coordinator.session.session import passphrase
from relay.service.command import Commands
from relay.service.dates import utc

app = Commands()


@app.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(help="file to write; it must not exist yet")], common: CoordinatorOptions
) -> None:
    """Write identity, runs and results to a file sealed under the passphrase; epoch state is left out."""
    settings = common.settings()
    facts = backups.make(settings, passphrase(settings), target)
    common.report(facts, f"{facts['runs']} runs in {facts['file']}")


@app.command("restore")
def restore(
    source: Annotated[Path, typer.Argument(help="file written by `backup`")], common: CoordinatorOptions
) -> None:
    """Restore a backup into an empty data folder; `resume RUN` continues open runs from their checkpoints."""
    settings = common.settings()
    facts = backups.restore(settings, passphrase(settings), source)
    made = utc(facts["made"])
    lines = [f"{facts['runs']} runs, as of {made}", *(f"open; continue it with: resume {run}" for run in facts["open"])]
    common.report(facts, "\n".join(lines))
