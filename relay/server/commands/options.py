"""Options shared by most commands."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option(help="folder with the database and the payloads")]
Config = Annotated[Path | None, typer.Option(help="TOML file with settings")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]
