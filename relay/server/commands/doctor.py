"""`secagg-relay doctor`."""

import typer

from relay.server.commands import checks
from relay.server.commands.options import RelayOptions
from relay.service import checkup
from relay.service.command import Commands

app = Commands()


@app.command("doctor")
def doctor(common: RelayOptions) -> None:
    """Check folder, database, audit log, backups, ports, TLS and machine. Exits with 2 if something is wrong."""
    found = checks.examine(common.settings())
    checkup.show(found, as_json=common.as_json)
    if not all(check.ok for check in found):
        raise typer.Exit(checkup.UNWELL)
