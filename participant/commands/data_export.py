"""`secagg-participant data export`: a dataset as a file of its own, for people of this house."""

from pathlib import Path
from typing import Annotated

import typer

from participant.commands.options import DatasetName, SiteOptions
from participant.data.store.export import export_csv
from participant.data.store.store import DatasetStore
from relay.service.command import Commands

app = Commands()


@app.command("export")
def export(
    name: DatasetName,
    csv: Annotated[Path, typer.Option(help="file to write, or a folder for cleaned_NAME_VERSION.csv")],
    common: SiteOptions,
    version: Annotated[int | None, typer.Option(help="a version; default: the newest")] = None,
) -> None:
    """Write a dataset as a CSV file that only you can read, and check it against what is stored."""
    done = export_csv(DatasetStore(common.settings().datasets), name, csv, version)
    facts = done._asdict() | {"path": str(done.path), "name": name}
    common.report(facts, f"{name} version {done.version}: {done.rows:,} rows written to {done.path} and verified")
