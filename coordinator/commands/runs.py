"""`secagg-coordinator runs` and `status`: all runs, and one run's sites, from the journal alone."""

from coordinator.commands.options import CoordinatorOptions, RunArgument
from coordinator.journal.opening import opened
from coordinator.journal.records import RunRecords
from coordinator.journal.standings import SiteStanding, SiteStandings
from relay.service.command import Commands
from relay.service.dates import utc

app = Commands()


@app.command("status")
def status(run: RunArgument, common: CoordinatorOptions) -> None:
    """Show a run's state and how each site stands in it: who waits for whom, who declined, and why."""
    with opened(common.settings().data) as journal:
        records = RunRecords(journal.connection)
        record = records.get(records.find(run))
        standings = SiteStandings(journal.connection, record.run).all()
    lines = [
        f"{record.shown}{f' ({record.reason})' if record.reason else ''}; deadline {utc(record.deadline)}",
        *(_line(one) for one in standings),
    ]
    facts = {**record.facts(), "state": record.shown, "sites": [one.facts() for one in standings]}
    common.report(facts, "\n".join(lines))


def _line(one: SiteStanding) -> str:
    until = "" if one.until is None else f" (until {utc(one.until)})"
    place = f" in round {one.round}" if one.round and one.reason else ""
    return f"  {one.site:<20} {one.how}{place}{f': {one.reason}' if one.reason else ''}{until}"


@app.command("runs")
def runs(common: CoordinatorOptions) -> None:
    """List this coordinator's runs, newest first."""
    with opened(common.settings().data) as journal:
        found = RunRecords(journal.connection).all()
    lines = [
        f"{one.run}  {utc(one.began)}  {one.shown:<10} {one.name}: {', '.join(one.analyses)}"
        + (f" ({one.reason})" if one.reason else "")
        for one in found
    ]
    common.report({"runs": [one.facts() for one in found]}, "\n".join(lines) or "there are no runs yet")
