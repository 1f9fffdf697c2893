"""`secagg-participant data catalogue`: what this site tells a project of its variables."""

from pathlib import Path
from typing import Annotated

import typer

from participant.commands.options import ProjectArgument, SiteOptions
from participant.data.store.store import DatasetStore
from participant.projects.catalogue import entry_of, export_entry, send_entry
from participant.projects.confirmation import View, find, view
from participant.settings.session import SiteSession, in_session
from relay.service.command import Commands

app = Commands()


@app.command("catalogue")
def catalogue(
    project: ProjectArgument,
    common: SiteOptions,
    send: Annotated[bool, typer.Option("--send", help="sign the entry and send it to the coordinator, sealed")] = False,
    export: Annotated[Path | None, typer.Option(help="write the signed entry to this file instead")] = None,
) -> None:
    """Show this site's entry for a project's catalogue; with --send, send it.

    An entry lists variables, their coding, and row counts in bands. Your policy must allow the project; the ledger
    records what is sent.
    """
    settings = common.settings()

    async def look(session: SiteSession) -> View:
        return await view(session.relay, await find(session.relay, project))

    seen = in_session(settings, look)
    entry = entry_of(seen.offer, DatasetStore(settings.datasets), settings.policy)
    lines = [
        f"{entry.dataset} version {entry.version}: {entry.rows} rows",
        *(f"  {one.code:<24} {one.type:<9} {one.unit:<8} missing: {one.missing}" for one in entry.variables),
    ]

    async def work(session: SiteSession) -> None:
        if send:
            await send_entry(entry, session.identity, session.journal, session.relay)
            lines.append("sent to the coordinator")
        if export is not None:
            export_entry(entry, session.identity, session.journal, export)
            lines.append(f"signed: {export}")

    if send or export is not None:
        in_session(settings, work)
    common.report(entry.model_dump(mode="json"), "\n".join(lines))
