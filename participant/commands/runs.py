"""`secagg-participant runs`: what this site has joined, from the journal alone."""

from typing import Any

from participant.commands.options import SiteOptions
from participant.records.decisions import Decisions
from participant.records.ledger import Ledger
from participant.settings.journal import opened
from relay.service.command import Commands

app = Commands()


@app.command("runs")
def runs(common: SiteOptions) -> None:
    """List the runs that this site has joined, what left for each, and what waits for a decision."""
    with opened(common.settings()) as journal:
        ledger, decisions = Ledger(journal.connection), Decisions(journal.connection)
        waiting = {one.run: one for one in decisions.waiting()}
        released: dict[str, list[float]] = {}
        for entry in ledger.entries():
            if entry["what"] == "upload":
                released.setdefault(entry["run"], []).append(entry["at"])
        is_open = {name.partition(".")[0] for name in journal.machines()}
        found: list[dict[str, Any]] = [
            {
                "run": str(run),
                "project": str(project),
                "state": ended or ("open" if str(run) in is_open else "over"),
                "releases": len(released.get(str(run), ())),
                "last": max(released.get(str(run), ()), default=None),
                "waits": list(waiting[run].rules) if run in waiting else [],
            }
            for run, project, ended in ledger.joined()
        ]
        paused = decisions.is_paused()
    lines = [
        f"{one['run']}  {one['state']:<10} {one['releases']:>6} releases"
        + (f"  waits: {', '.join(one['waits'])}" if one["waits"] else "")
        for one in found
    ]
    words = "\n".join((["this site is paused"] if paused else []) + lines) or "this site has joined no run yet"
    common.report({"runs": found, "paused": paused}, words)
