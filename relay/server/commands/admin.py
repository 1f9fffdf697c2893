"""`secagg-relay admin`: status, and ending a run that nobody else can end."""

import time
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from relay.api.states import FINAL_RUN, RunState
from relay.api.wire import to_base64url
from relay.server.commands.options import RelayOptions
from relay.server.registry import run_states
from relay.server.store import epochs, fleet, milestones, runs, sites, state_counts
from relay.server.store.offline import on_database, over_view
from relay.service.command import Commands
from relay.service.dates import utc
from secagg import __version__
from secagg.errors import ParameterError
from secagg.identity import fingerprint

REASON = "cancelled-by-operator"

app = Commands(name="admin", no_args_is_help=True, help="The relay's status, and actions reserved for operators.")


@app.command("status")
def status(common: RelayOptions) -> None:
    """Show the number of sites, runs and tokens, the epoch, and when backup and audit check last succeeded."""

    def look(db: Connection) -> dict[str, Any]:
        counted, reached, epoch = state_counts.take(db, now=time.time()), milestones.reached(db), epochs.current(db)
        return {
            "sites": counted.sites,
            "runs": counted.runs,
            "silent_sites_of_open_runs": counted.silent_in_runs,
            "silent_members": counted.silent_members,
            "last_completed_run": counted.last_success,
            "open_tokens": counted.open_tokens,
            "epoch": None if epoch is None else {"id": str(epoch.id), "since": epoch.since, "cause": epoch.cause},
            "last_backup": reached.get(milestones.BACKUP),
            "audit_verified": reached.get(milestones.AUDIT_VERIFIED),
            "audit_broken": milestones.AUDIT_BROKEN in reached,
        }

    _show(over_view(common.settings(), look), common)


@app.command("sites")
def sites_(common: RelayOptions) -> None:
    """List enrolled sites with the times at which they enrolled and were last seen."""
    rows = over_view(common.settings(), sites.all_sites)
    listed = [
        {
            "name": row.name,
            "role": row.role,
            "key": to_base64url(row.key),
            "fingerprint": fingerprint(row.key),
            "enrolled": row.enrolled,
            "last_seen": row.last_seen,
        }
        for row in rows
    ]
    _list("sites", listed, common)


@app.command("fleet")
def fleet_(common: RelayOptions) -> None:
    """List each site's release, whether it is outdated, its clock's offset, and since when it is silent."""
    found = over_view(common.settings(), lambda db: fleet.fleet(db, own_release=__version__))
    _list("sites", [asdict(site) for site in found], common)


@app.command("runs")
def runs_(common: RelayOptions) -> None:
    """List open runs with each site's quota usage."""

    def look(db: Connection) -> list[dict[str, Any]]:
        used: dict[UUID, list[dict[str, Any]]] = {}
        for row in state_counts.usage(db):
            amounts = {name: getattr(row, name) for name in ("messages", "frame_bytes", "payload_bytes")}
            used.setdefault(row.run, []).append({"site": row.site_name} | amounts)
        return [
            {
                "run": str(row.id),
                "project": row.project_name,
                "name": row.name,
                "state": row.state,
                "created": row.created,
                "last_activity": max(row.updated, row.last_message or 0.0),
                "usage": used.get(row.id, []),
            }
            for row in state_counts.open_runs(db)
        ]

    _list("runs", over_view(common.settings(), look), common)


@app.command("cancel")
def cancel(
    run: Annotated[UUID, typer.Argument(help="the run's ID, see `admin runs`")],
    common: RelayOptions,
) -> None:
    """Cancel a run whose coordinator no longer can. The audit log records it as the operator's action."""
    on_database(common.settings(), lambda db: cancel_run(db, run, now=time.time()))
    common.report({"run": str(run), "state": RunState.CANCELLED.value}, f"run {run} is cancelled")


def cancel_run(db: Connection, run: UUID, *, now: float) -> None:
    """Cancel a run and record it; raises ParameterError if it does not exist or has finished."""
    found = runs.find(db, run)
    if found is None:
        raise ParameterError(f"no run {run}; see: secagg-relay admin runs")
    state = RunState(found.state)
    if state in FINAL_RUN or not run_states.change(db, run, from_=state, to=RunState.CANCELLED, reason=REASON, now=now):
        raise ParameterError(f"run {run} is already {state}")


def _list(name: str, listed: list[dict[str, Any]], common: RelayOptions) -> None:
    if common.as_json:
        common.report({name: listed}, "")
        return
    columns = [column for column in (listed[0] if listed else {}) if not isinstance(listed[0][column], list)]
    table = Table(*columns, title=f"{len(listed)} {name}")
    for entry in listed:
        table.add_row(*(_words(column, entry[column]) for column in columns))
    Console().print(table)


def _show(facts: dict[str, Any], common: RelayOptions) -> None:
    words = "\n".join(f"{name.replace('_', ' ')}: {_words(name, value)}" for name, value in facts.items())
    common.report(facts, words)


def _words(name: str, value: Any) -> str:
    if value is None:
        return "unknown" if name in {"release", "clock_offset_s"} else "never"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(key, item)}" for key, item in value.items()) or "none"
    if isinstance(value, float) and name in {"enrolled", "last_seen", "created", "since", "last_activity"} | _TIMES:
        return utc(value)
    return str(value)


_TIMES = {"silent_since", "last_completed_run", "last_backup", "audit_verified"}
