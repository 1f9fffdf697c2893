"""`secagg-relay serve`."""

import asyncio
from typing import Annotated

import typer

from relay.server import serve as server
from relay.server.commands.options import RelayOptions
from relay.service import logs
from relay.service.command import Commands

app = Commands()


@app.command("serve")
def serve(
    common: RelayOptions,
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on; 0 means any free port")] = None,
    admin_port: Annotated[int | None, typer.Option(help="port for health and metrics, on localhost")] = None,
) -> None:
    """Run the relay until SIGTERM. Logs go to stderr; with --json, a line on stdout reports when it is ready."""
    settings = common.settings(host=host, port=port, admin_port=admin_port)
    logs.configure("relay", level=settings.log_level)
    asyncio.run(server.serve(settings, announce=common.as_json))
