"""`secagg-coordinator demo`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from coordinator.demo.demonstrate import demonstrate
from relay.service.command import AsJson, Commands

app = Commands()


@app.command("demo")
def demo(
    sites: Annotated[int, typer.Option(help="number of hospitals, 3 to 9")] = 9,
    kill: Annotated[int, typer.Option(help="number of hospitals to kill in the middle of a round")] = 1,
    port: Annotated[int, typer.Option(help="port of the relay; 0 picks a free one")] = 0,
    out: Annotated[Path, typer.Option(help="folder for the figures and the report")] = Path("demo-results"),
    as_json: AsJson = False,
) -> None:
    """Fit a Cox model over nine real institutions on this machine, without revealing any institution's data."""
    asyncio.run(demonstrate(sites=sites, kill=kill, port=port, out=out, as_json=as_json))
