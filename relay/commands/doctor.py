"""`secagg-relay doctor`."""

import json
import sys

import typer
from rich.console import Console
from rich.table import Table

from relay import doctor
from relay.commands.options import AsJson, Config, Data
from relay.config import RelayConfig

app = typer.Typer()

UNWELL = 2
"""Exit code where a check failed; 1 is for a command that could not be carried out."""


@app.command("doctor")
def doctor_command(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Look over folder, database, audit log, backups, ports, TLS and machine. Exits with 2 where something is wrong."""
    found = doctor.examine(RelayConfig.load(data=data, config=config))
    if as_json:
        sys.stdout.write(json.dumps(doctor.document(found)) + "\n")
    else:
        table = Table("", "check", "found", "remedy")
        for check in found:
            table.add_row("ok" if check.ok else "!!", check.name, check.detail, check.remedy)
        Console().print(table)
    if not all(check.ok for check in found):
        raise typer.Exit(UNWELL)
