"""`secagg-participant start`: the daemon."""

import asyncio
from typing import Annotated

import typer

from participant.commands.options import SiteOptions
from participant.daemon.process import serve
from participant.settings.session import unlocked
from relay.service.command import Commands
from relay.service.memory import keep_private

app = Commands()


@app.command("start")
def start(
    common: SiteOptions,
    admin_port: Annotated[int | None, typer.Option(help="port for health and metrics, on localhost")] = None,
) -> None:
    """Run the daemon until SIGTERM. Logs go to stderr; with --json, a line on stdout reports when it is ready."""
    keep_private()
    settings = common.settings(admin_port=admin_port)
    settings.require_relay()
    asyncio.run(serve(settings, unlocked(settings), announce=common.as_json))
