"""`secagg-coordinator catalogue`: the variables that a project's sites have."""

from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.commands.options import CoordinatorOptions, ProjectArgument
from coordinator.projects import catalogue as catalogues
from coordinator.projects import projects
from coordinator.session.session import Session, in_session
from participant.study.terms import ProjectTerms
from relay.service.command import Commands

app = Commands()


@app.command("catalogue")
def catalogue(
    project: ProjectArgument,
    common: CoordinatorOptions,
    entries: Annotated[
        list[Path] | None, typer.Argument(help="files with signed entries, instead of the entries that the sites sent")
    ] = None,
) -> None:
    """Show which of the project's variables each site has, their coding, and the approximate number of rows.

    The first call requests the catalogue, once the roster is sealed. Sites answer with: data catalogue PROJECT --send
    """

    async def work(session: Session) -> Any:
        found = await session.relay.project(await projects.find(session.relay, project))
        if entries:
            sent: dict[str, bytes] | None = catalogues.read_files(entries)
        else:
            sent = await catalogues.received(session.relay, session.identity, found.id)
        return found, sent

    found, sent = in_session(common.settings(), work)
    names = {member.key: member.name for member in found.members}
    gathered = catalogues.gather(found.id, ProjectTerms.decode(found.terms), names, sent or {})
    words = (
        "catalogue requested; the sites answer with: data catalogue PROJECT --send"
        if sent is None
        else catalogues.as_words(gathered)
    )
    common.report(catalogues.as_facts(gathered), words)
