"""The settings file: its place, and its contents, which apply to every start, even by a service manager.

It is TOML, with one line for each setting that differs from its default and the setting's meaning above it. It never
contains a passphrase, only where to find one.
"""

import os
import tomllib
from pathlib import Path
from typing import Any

from relay.service.settings import SettingsError, usual_file


def place(config: Path | None) -> Path:
    """Return the path of the settings file, existing or not."""
    if config is not None:
        return config
    named = os.environ.get("SECAGG_PARTICIPANT_CONFIG")
    return Path(named) if named else usual_file("participant")


def names_in(path: Path) -> set[str]:
    """Return the names of the settings in the file; empty if there is no file."""
    return set(content(path))


def content(path: Path) -> dict[str, Any]:
    """Return the settings in the file; raises SettingsError if it is not valid."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a valid TOML file: {error}; fix it or move it away") from None
