"""`secagg-coordinator catalogue`: the variables that a project's sites have."""

from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.commands.options import CoordinatorOptions, ProjectId
from coordinator.projects import catalogue as catalogues
from coordinator.session.session import Session, in_session
from participant.study.terms import ProjectTerms
from relay.service.command import Commands

app = Commands()


@app.command("catalogue")
def catalogue(
    project: ProjectId,
    common: CoordinatorOptions,
    entries: Annotated[
        list[Path] | None, typer.Argument(help="files with signed entries, instead of the entries that the sites sent")
    ] = None,
) -> None:
    """Show which of the project's variables each site has, their coding, and the approximate number of rows.

    The first call requests the catalogue, once the roster is sealed. Sites answer with: data catalogue PROJECT --send
    """

    async def work(session: Session) -> Any:
        if entries:
            sent: dict[str, bytes] | None = catalogues.read_files(entries)
        else:
            sent = await catalogues.received(session.relay, session.identity, project)
        return await session.relay.project(project), sent

    found, sent = in_session(common.settings(), work)
    names = {member.key: member.name for member in found.members}
    gathered = catalogues.gather(project, ProjectTerms.decode(found.terms), names, sent or {})
    words = (
        "catalogue requested; the sites answer with: data catalogue PROJECT --send"
        if sent is None
        else catalogues.as_words(gathered)
    )
    common.report(catalogues.as_facts(gathered), words)
