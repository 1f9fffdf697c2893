"""Options shared by most of the relay's commands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from relay.server.core.config import RelayConfig
from relay.service.command import CommonOptions


@dataclass(frozen=True, slots=True)
class RelayOptions(CommonOptions):
    """Options that most commands of the relay accept."""

    data: Annotated[Path | None, typer.Option("--data", help="folder with the database and the payloads")] = None

    def settings(self, **command_line: Any) -> RelayConfig:
        """Return the settings, including values given on the command line beyond the common options."""
        return RelayConfig.load(data=self.data, config=self.config, **command_line)
