"""`secagg-relay site`: the enrolled keys."""

import json
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from relay.api.states import Ending
from relay.api.wire import to_base64url
from relay.server.commands.options import RelayOptions
from relay.server.registry import endings
from relay.server.store import audit, sites
from relay.server.store.offline import on_database
from relay.server.store.rows import SiteRow
from relay.service.command import Commands
from relay.service.dates import utc
from secagg.errors import ParameterError
from secagg.identity import key_words

app = Commands(name="site", no_args_is_help=True, help="List and end enrolled sites.")

Name = Annotated[str, typer.Argument(help="the site's name")]


@app.command("list")
def list_(common: RelayOptions) -> None:
    """List all sites, including those whose key has ended."""
    rows = on_database(common.settings(), sites.all_sites)
    listed = [
        {
            "name": row.name,
            "role": row.role,
            "key": row.key.hex(),
            "status": _status(row),
            "last_seen": row.last_seen,
            "labels": json.loads(row.labels),
        }
        for row in rows
    ]
    if common.as_json:
        common.report({"sites": listed}, "")
        return
    table = Table("name", "role", "status", "last seen", "labels")
    for row, entry in zip(rows, listed, strict=True):
        seen = "" if row.last_seen is None else utc(row.last_seen)
        labels = ", ".join(f"{name}={value}" for name, value in entry["labels"].items())
        table.add_row(row.name, row.role, entry["status"], seen, labels)
    Console().print(table)


@app.command("show")
def show(name: Name, common: RelayOptions) -> None:
    """Show a site's twelve words, to compare with those that its officer reads to you."""
    row = on_database(common.settings(), lambda db: _named(db, name))
    words = key_words(row.key)
    facts = {"name": row.name, "role": row.role, "key": row.key.hex(), "words": words, "status": _status(row)}
    common.report(facts, f"{row.name} ({row.role}, {_status(row)})\n  {words}")


@app.command("revoke")
def revoke(
    name: Name,
    common: RelayOptions,
    reason: Annotated[str, typer.Option(help="reason, recorded in the audit log")] = "",
) -> None:
    """Refuse a key permanently, for example because it was stolen or its owner is no longer trusted."""
    _end(name, Ending.REVOKED, reason, common)


@app.command("deregister")
def deregister(name: Name, common: RelayOptions) -> None:
    """Remove a site: its key is refused from now on, its memberships end and its name becomes free."""
    _end(name, Ending.DEREGISTERED, "", common)


def _end(name: str, ending: Ending, reason: str, common: RelayOptions) -> None:
    if len(reason) > 200 or not reason.isprintable():
        raise ParameterError("a reason may have at most 200 printable characters")

    def work(db: Connection) -> bytes:
        row = _named(db, name)
        if row.ended is not None:
            raise ParameterError(f"{name} has already ended")
        endings.end(db, row, ending, actor=audit.OPERATOR, reason=reason, now=time.time())
        key: bytes = row.key
        return key

    key = on_database(common.settings(), work)
    common.report({"name": name, "key": to_base64url(key), "status": ending.value}, f"{name} is {ending}")


def _named(db: Connection, name: str) -> SiteRow:
    found = next((row for row in sites.all_sites(db) if row.name == name), None)
    if found is None:
        raise ParameterError(f"no site {name!r}; see: secagg-relay site list")
    return found


def _status(row: SiteRow) -> str:
    if row.ended is not None:
        return str(row.ending)
    return "connected" if row.silent_since is None else "silent"
