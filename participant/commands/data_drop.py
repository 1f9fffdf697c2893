"""`secagg-participant data drop`."""

import sys
from typing import Annotated

import typer

from participant.commands.options import DatasetName, SiteOptions
from participant.data.store.store import DatasetStore
from participant.policy.answer import carry
from participant.policy.differencing import AnsweredRows
from participant.settings.journal import opened
from relay.party.journal import FILE_NAME
from relay.service.command import Commands
from secagg.errors import ParameterError

app = Commands()


@app.command("drop")
def drop(
    name: DatasetName,
    common: SiteOptions,
    version: Annotated[int | None, typer.Option(help="version; default: all")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Remove a dataset or one version of it. Version numbers are never reused."""
    store = DatasetStore(common.settings().datasets)
    dropped = [store.describe(name, version).version] if version else [*store.versions(name)]
    what = f"version {version}" if version else f"all {len(dropped)} versions"
    if dropped and not yes:
        if not sys.stdin.isatty():
            raise ParameterError("nothing was removed; to remove without a prompt, add --yes")
        typer.confirm(f"Remove {what} of {name}?", abort=True, err=True)
    _compare(store, name, common)
    store.drop(name, version)
    common.report({"name": name, "dropped": dropped}, f"removed: {what} of {name}")


def _compare(store: DatasetStore, name: str, common: SiteOptions) -> None:
    """Carry the rows of earlier answers over to the newest version, while the older ones still exist."""
    settings = common.settings()
    if not (settings.data / FILE_NAME).exists():
        return
    with opened(settings) as journal:
        records = AnsweredRows(journal.connection)
        if (earlier := records.row_sets(name)) and store.versions(name):
            carried = carry(store, store.describe(name), earlier)
            with journal.transaction():
                records.answer(name, carried)
