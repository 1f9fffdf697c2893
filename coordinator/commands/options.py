"""Options shared by the coordinator's commands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.session.config import CoordinatorConfig
from relay.service.command import CommonOptions

ProjectArgument = Annotated[str, typer.Argument(help="name or ID of the project")]
RunArgument = Annotated[str, typer.Argument(help="ID of the run, or its beginning; `runs` lists them")]


@dataclass(frozen=True, slots=True)
class CoordinatorOptions(CommonOptions):
    """Options of every command."""

    data: Annotated[Path | None, typer.Option("--data", help="folder with the identity and the journal")] = None

    def settings(self, **command_line: Any) -> CoordinatorConfig:
        """Return the settings, with the command line's options in addition to the common ones."""
        return CoordinatorConfig.load(data=self.data, config=self.config, **command_line)
