"""`secagg-coordinator logs`: the logs that sites sent about a run."""

import json
from typing import Annotated
from uuid import UUID

import typer

from coordinator.commands.options import CoordinatorOptions, RunArgument
from coordinator.projects.site_logs import LogLine, received
from coordinator.session.session import Session, in_session
from relay.service.command import Commands

app = Commands()


@app.command("logs")
def logs(
    run: RunArgument,
    common: CoordinatorOptions,
    site: Annotated[str | None, typer.Option(help="show only this site's logs")] = None,
) -> None:
    """Show the logs of a run that sites sent with `secagg-participant log send RUN`."""

    async def work(session: Session) -> tuple[UUID, list[LogLine]]:
        found = session.records.find(run)
        project = await session.relay.project((await session.relay.run(found)).project)
        names = {member.key: member.name for member in project.members}
        return found, await received(session.relay, session.identity, found, names)

    run_id, sent = in_session(common.settings(), work)
    found = [line for line in sent if site in {None, line.site}]
    facts = [{"at": one.at, "site": one.site, "event": one.event, **one.facts} for one in found]
    lines = [
        f"{one.at}  {one.site:<20} {one.event}  "
        + " ".join(f"{name}={json.dumps(value)}" for name, value in one.facts.items())
        for one in found
    ]
    common.report({"run": str(run_id), "lines": facts}, "\n".join(lines) or "no site has sent its log of this run")
