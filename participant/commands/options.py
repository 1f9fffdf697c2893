"""Options shared by the commands."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

Data = Annotated[Path | None, typer.Option("--data", help="folder of identity, journal and datasets")]
Config = Annotated[Path | None, typer.Option(help="TOML file with the settings")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]
ProjectId = Annotated[UUID, typer.Argument(help="ID of the project, as shown by: project list")]
