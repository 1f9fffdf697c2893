"""`secagg-coordinator runs` and `status`: all runs, and one run's sites, from the journal alone."""

from coordinator.commands.options import CoordinatorOptions, RunArgument
from coordinator.journal.opening import opened
from coordinator.journal.records import RunRecord, RunRecords
from coordinator.journal.standings import SiteStanding, SiteStandings
from relay.api.states import RunState
from relay.party.journal import Journal
from relay.service.command import Commands
from relay.service.dates import utc

app = Commands()


@app.command("status")
def status(run: RunArgument, common: CoordinatorOptions) -> None:
    """Show a run's state and how each site stands in it: who waits for whom, who declined, and why."""
    with opened(common.settings().data) as journal:
        records = RunRecords(journal.connection)
        record = records.get(records.find(run))
        standings, state = SiteStandings(journal.connection, record.run).all(), _state(journal, record)
    lines = [
        f"{state}{f' ({record.reason})' if record.reason else ''}; deadline {utc(record.deadline)}",
        *(_line(one) for one in standings),
    ]
    facts = {**record.facts(), "state": state, "sites": [one.facts() for one in standings]}
    common.report(facts, "\n".join(lines))


def _line(one: SiteStanding) -> str:
    until = "" if one.until is None else f" (until {utc(one.until)})"
    place = f" in round {one.round}" if one.round and one.reason else ""
    return f"  {one.site:<20} {one.how}{place}{f': {one.reason}' if one.reason else ''}{until}"


@app.command("runs")
def runs(common: CoordinatorOptions) -> None:
    """List this coordinator's runs, newest first."""
    with opened(common.settings().data) as journal:
        found = [(one, _state(journal, one)) for one in RunRecords(journal.connection).all()]
    lines = [
        f"{one.run}  {utc(one.began)}  {state:<11} {one.name}: {', '.join(one.analyses)}"
        + (f" ({one.reason})" if one.reason else "")
        for one, state in found
    ]
    common.report(
        {"runs": [one.facts() | {"state": state} for one, state in found]}, "\n".join(lines) or "there are no runs yet"
    )


def _state(journal: Journal, record: RunRecord) -> str:
    """Return a run's state; one that should go on but that no process executes is `interrupted`."""
    if record.state not in {RunState.PREPARING, RunState.RUNNING} or journal.is_held(str(record.run)):
        return record.shown
    return "interrupted"
