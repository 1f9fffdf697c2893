"""`secagg-participant policy`: what this site allows."""

from pathlib import Path
from typing import Annotated

import typer

from participant.commands.options import SiteOptions
from participant.policy.rules import Policy, schema_text
from relay.service.command import Commands

app = Commands(name="policy", no_args_is_help=True, help="Show the policy: what this site allows.")


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of a policy file, for editors and generators."""
    typer.echo(schema_text(), nl=False)


@app.command("show")
def show(
    common: SiteOptions,
    file: Annotated[Path | None, typer.Option(help="policy file; default: the one in the settings")] = None,
) -> None:
    """Check a policy file and print every rule in force, including defaults."""
    path = file or common.settings().policy
    rules = (Policy() if path is None else Policy.read(path)).model_dump(mode="json")
    words = "\n".join(f"{rule:<24} {'all' if value is None else value}" for rule, value in rules.items())
    common.report({"file": str(path) if path else None, "rules": rules}, words)
