"""Options shared by the coordinator's commands."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

Data = Annotated[Path | None, typer.Option("--data", help="folder with the identity and the journal")]
Config = Annotated[Path | None, typer.Option(help="TOML file with settings")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout")]
ProjectId = Annotated[UUID, typer.Argument(help="ID of the project")]
RunId = Annotated[UUID, typer.Argument(help="ID of the run; `runs` lists them")]
