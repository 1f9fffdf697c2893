"""`secagg-coordinator runs`: all runs, from the journal alone."""

from coordinator.commands.options import CoordinatorOptions
from coordinator.journal.opening import opened
from coordinator.journal.records import RunRecords
from relay.service.command import Commands
from relay.service.dates import utc

app = Commands()


@app.command("runs")
def runs(common: CoordinatorOptions) -> None:
    """List this coordinator's runs, newest first."""
    with opened(common.settings().data) as journal:
        found = RunRecords(journal.connection).all()
    lines = [
        f"{one.run}  {utc(one.began)}  {one.state.value:<10} {one.name}: {', '.join(one.analyses)}"
        + (f" ({one.reason})" if one.reason else "")
        for one in found
    ]
    common.report({"runs": [one.facts() for one in found]}, "\n".join(lines) or "there are no runs yet")
