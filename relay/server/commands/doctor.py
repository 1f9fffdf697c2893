"""`secagg-relay doctor`."""

import typer

from relay.server.commands import checks
from relay.server.commands.options import AsJson, Config, Data
from relay.server.core.config import RelayConfig
from relay.service import checkup

app = typer.Typer()


@app.command("doctor")
def doctor_command(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Check folder, database, audit log, backups, ports, TLS and machine. Exits with 2 if something is wrong."""
    found = checks.examine(RelayConfig.load(data=data, config=config))
    checkup.show(found, as_json=as_json)
    if not all(check.ok for check in found):
        raise typer.Exit(checkup.UNWELL)
