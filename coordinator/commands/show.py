"""`secagg-coordinator show`: the results of an earlier run, from the journal alone."""

import asyncio

from coordinator.commands.options import CoordinatorOptions, RunArgument
from coordinator.journal.opening import opened
from coordinator.journal.records import RunRecords
from coordinator.report.run import earlier_run
from relay.service.command import Commands

app = Commands()


@app.command("show")
def show(run: RunArgument, common: CoordinatorOptions) -> None:
    """Show the results of an earlier run, recomputed from the sums in the journal without asking any site."""
    with opened(common.settings().data) as journal:
        done = asyncio.run(earlier_run(journal.connection, RunRecords(journal.connection).find(run)))
    facts = {"outcome": done.outcome, "detail": done.detail, "project": done.project, **done.to_dict()}
    common.report(facts, done.summary() or f"no result: {done.outcome}")
