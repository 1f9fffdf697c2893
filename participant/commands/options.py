"""Options shared by the participant's commands."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

import typer

from participant.settings.config import ParticipantConfig
from relay.service.command import CommonOptions

DatasetName = Annotated[str, typer.Argument(help="name of the dataset")]
ShowProgress = Annotated[bool, typer.Option("--progress/--no-progress", help="show progress on stderr")]
ProjectArgument = Annotated[str, typer.Argument(help="name or ID of the project, as shown by: project list")]
RunArgument = Annotated[str, typer.Argument(help="ID of the run, or its beginning, as shown by: runs")]


@dataclass(frozen=True, slots=True)
class SiteOptions(CommonOptions):
    """What every command of the participant can be told."""

    data: Annotated[Path | None, typer.Option("--data", help="folder of identity, journal and datasets")] = None

    def settings(self, **command_line: Any) -> ParticipantConfig:
        """Return the settings, with what the command line says beside the common options."""
        return ParticipantConfig.load(data=self.data, config=self.config, **command_line)

    def with_config(self, file: Path | None) -> Self:
        """Return the same options with another settings file."""
        return replace(self, config=file)
