"""`secagg-participant project list`: needs the relay, and nothing of what projects ask."""

from typing import Any

from participant.commands.options import SiteOptions
from participant.settings.session import SiteSession, in_session
from relay.service.command import Commands

app = Commands()


@app.command("list")
def list_(common: SiteOptions) -> None:
    """List the projects that this site was invited to."""

    async def work(session: SiteSession) -> list[dict[str, Any]]:
        return [
            {"id": str(one.id), "name": one.name, "state": one.state.value, "membership": str(one.membership or "")}
            for one in await session.relay.projects()
        ]

    projects = in_session(common.settings(), work)
    words = "\n".join(f"{one['id']}  {one['membership']:<10} {one['name']}" for one in projects)
    common.report({"projects": projects}, words or "this site has no invitations")
