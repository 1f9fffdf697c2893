"""`secagg-participant config show`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from yarl import URL

from participant.commands.options import SiteOptions
from participant.settings import settings_file
from participant.settings.config import ParticipantConfig
from relay.service.command import Commands
from relay.service.logs import REDACTED

app = Commands()

_IDENTIFYING = frozenset(
    {
        "relay", "data", "passphrase_file", "passphrase_command", "ca_file", "cert_file", "key_file", "proxy", "policy",
        "config", "notify_from", "notify_to",
    }
)  # fmt: skip


@app.command("show")
def show(
    common: SiteOptions,
    redacted: Annotated[bool, typer.Option("--redacted", help="also hide addresses and paths, for sharing")] = False,
) -> None:
    """Show every setting and where it comes from. Passphrases and passwords are never shown."""
    settings = common.settings()
    given = {"data"} if common.data is not None else set()
    shown = {
        name: {
            "value": _shown(name, getattr(settings, name), redacted=redacted),
            "from": _source(name, given, settings_file.place(common.config)),
        }
        for name in ParticipantConfig.model_fields
    }
    if common.as_json:
        common.report({"settings": shown}, "")
        return
    table = Table("setting", "value", "from")
    for name, one in shown.items():
        table.add_row(name, "" if one["value"] is None else str(one["value"]), one["from"])
    Console().print(table)


def _shown(name: str, value: Any, *, redacted: bool) -> Any:
    if isinstance(value, SecretStr):
        return REDACTED if value.get_secret_value() else None
    if value is None or value in ("", ()):
        return None
    if redacted and name in _IDENTIFYING:
        return REDACTED
    if name == "proxy":
        place = URL(str(value))
        return str(place.with_password(REDACTED.strip("[]")) if place.password else place)
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _source(name: str, given: set[str], file: Path) -> str:
    variable = f"SECAGG_PARTICIPANT_{name.upper()}"
    if name in given:
        return "command line"
    if variable in os.environ:
        return "environment"
    if f"{variable}_FILE" in os.environ:
        return "file named in the environment"
    return "settings file" if name in settings_file.names_in(file) else "default"
