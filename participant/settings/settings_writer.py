"""Writes the settings file for `configure` and `enroll`, after checking all of its contents."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from participant.policy.rules import Policy
from participant.settings.config import ParticipantConfig
from participant.settings.settings_file import content
from relay.client.transport import RelayClient
from relay.service.folders import sync_folder, write_whole
from relay.service.settings import SettingsError
from secagg.identity import Identity

NEVER_WRITTEN = frozenset({"passphrase", "config"})


def write(path: Path, changes: Mapping[str, Any]) -> ParticipantConfig:
    """Change some settings in the file and keep the others; None removes one. Writes nothing unless all of it is valid.

    Raises:
        SettingsError: a value is not allowed, a file that it names is missing or unusable, or the existing settings
            file is not valid.
    """
    merged = {**content(path), **{name: _plain(value) for name, value in changes.items()}}
    values = {name: value for name, value in merged.items() if value is not None}
    if hidden := NEVER_WRITTEN & values.keys():
        raise SettingsError(
            f"{', '.join(sorted(hidden))} must not be in the settings file; name a passphrase_file instead"
        )
    lines = ["# Settings of secagg-participant. Changed by: secagg-participant configure"]
    for name, field in ParticipantConfig.model_fields.items():
        if name in values:
            lines += ["", f"# {field.description}", f"{name} = {_toml(values.pop(name))}"]
    if values:
        raise SettingsError(f"unknown settings: {', '.join(sorted(values))}")
    return _replace(path, "\n".join(lines) + "\n")


def check(settings: ParticipantConfig) -> None:
    """Check the objects that the settings name: address, certificates, policy, passphrase file; raises ParameterError.

    This does not contact the relay; `doctor` does.
    """
    for name in ("passphrase_file", "ca_file", "cert_file", "key_file", "policy"):
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise SettingsError(f"{name}: there is no file {path}")
    if settings.policy is not None:
        Policy.read(settings.policy)
    if settings.relay:
        settings.tls.context()
        RelayClient(settings.relay, Identity(bytes(32)))  # parses the address; the key is a dummy


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())  # commands read the file from other folders, too
    return list(value) if isinstance(value, tuple) else value


def _toml(value: Any) -> str:
    """Return a value as TOML. Text is written as JSON, whose escapes are valid TOML except for one."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _replace(path: Path, text: str) -> ParticipantConfig:
    """Put a file in place after reading it back as valid; mode 0600, since it may hold a proxy's password."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    try:
        write_whole(fresh, text.encode())
        settings = ParticipantConfig.load(**content(fresh), config=fresh)  # no environment variable overrides them
        check(settings)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)
    return settings
