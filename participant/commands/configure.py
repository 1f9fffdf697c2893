"""`secagg-participant configure`: write the settings file."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from participant.commands.options import SiteOptions
from participant.settings import settings_file, settings_writer
from participant.settings.config import ParticipantConfig
from relay.service.command import Commands
from relay.service.settings import SettingsError
from secagg.errors import ParameterError

app = Commands()


@app.command("configure")
def configure(
    common: SiteOptions,
    relay: Annotated[str | None, typer.Option(help="address of the relay, https://...")] = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="file with the identity's passphrase")] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="CA certificates that the relay's certificate must chain to")
    ] = None,
    cert_file: Annotated[Path | None, typer.Option(help="client certificate, if the relay asks for one")] = None,
    key_file: Annotated[Path | None, typer.Option(help="private key of the client certificate")] = None,
    proxy: Annotated[
        str | None, typer.Option(help="HTTPS proxy: http://host:port, or http://user:password@host:port")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="TOML file with the site's policy")] = None,
    admin_port: Annotated[int | None, typer.Option(help="port for health and metrics, on localhost")] = None,
    unset: Annotated[list[str] | None, typer.Option(help="remove a setting from the file; may be repeated")] = None,
) -> None:
    """Write the settings file: on a terminal, prompt for missing values; otherwise, change only what is given.

    Writes nothing unless all of it is valid. Keep a proxy's password off the command line: answer the
    prompt, or name a file in SECAGG_PARTICIPANT_PROXY_FILE.
    """
    given: dict[str, Any] = {
        "relay": relay,
        "data": common.data,
        "passphrase_file": passphrase_file,
        "ca_file": ca_file,
        "cert_file": cert_file,
        "key_file": key_file,
        "proxy": proxy,
        "policy": policy,
        "admin_port": admin_port,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes and not unset and sys.stdin.isatty():
        changes = _asked()
    for name in unset or []:
        if name not in ParticipantConfig.model_fields:
            raise SettingsError(
                f"{name}: unknown setting; the settings are {', '.join(sorted(ParticipantConfig.model_fields))}"
            )
        changes[name] = None
    if not changes:
        raise ParameterError("no change is given; name a setting, for example --relay, or run this on a terminal")
    path = settings_file.place(common.config)
    settings_writer.write(path, changes)
    common.report({"file": str(path), "changed": sorted(changes)}, f"written: {path}\nNext: doctor")


def _asked() -> dict[str, Any]:
    """Prompt for the settings that a site usually has; an empty answer keeps the present value."""
    questions = (
        ("relay", "the relay's address"),
        ("passphrase_file", "file with the identity's passphrase"),
        ("ca_file", "file with the relay's CA certificates, if its authority is private"),
        ("proxy", "HTTPS proxy, http://user:password@host:port, if any"),
        ("policy", "TOML file with the site's policy, unless the cautious defaults apply"),
    )
    answers = {name: typer.prompt(text, default="", show_default=False) for name, text in questions}
    return {
        name: Path(text) if name.endswith("_file") or name == "policy" else text
        for name, text in answers.items()
        if text
    }
