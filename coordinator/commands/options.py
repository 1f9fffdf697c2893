"""Options that the coordinator's commands have in common."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

Data = Annotated[Path | None, typer.Option("--data", help="folder of identity and journal")]
Config = Annotated[Path | None, typer.Option(help="TOML file with settings")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]
ProjectId = Annotated[UUID, typer.Argument(help="the project's ID")]
RunId = Annotated[UUID, typer.Argument(help="the run's ID; `runs` lists them")]
