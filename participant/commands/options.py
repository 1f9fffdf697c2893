"""Options that the commands share."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

Data = Annotated[Path | None, typer.Option("--data", help="folder of identity, journal and datasets")]
Config = Annotated[Path | None, typer.Option(help="TOML file with settings")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]
ProjectId = Annotated[UUID, typer.Argument(help="the project's ID, from: project list")]
