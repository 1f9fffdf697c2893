"""`secagg-coordinator export`: an earlier run as an HTML page."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from coordinator.commands.options import CoordinatorOptions, RunArgument
from coordinator.journal.opening import opened
from coordinator.journal.records import RunRecords
from coordinator.report.page import page
from coordinator.report.run import earlier_run
from relay.service.command import Commands

app = Commands()


@app.command("export")
def export(
    run: RunArgument,
    common: CoordinatorOptions,
    out: Annotated[Path | None, typer.Option(help="file to write; by default RUN.html in the current folder")] = None,
) -> None:
    """Export an earlier run as one HTML page: tables, figures, cohort, floors, versions, and receipt hash."""
    with opened(common.settings().data) as journal:
        run_id = RunRecords(journal.connection).find(run)
        done = asyncio.run(earlier_run(journal.connection, run_id))
    path = out or Path(f"{run_id}.html")
    path.write_text(page(done), encoding="utf-8")
    common.report({"run": str(run_id), "file": str(path)}, f"written: {path}")
