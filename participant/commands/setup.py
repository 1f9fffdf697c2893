"""Commands to set up a site: `enroll`, `configure`, `config`."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from yarl import URL

from participant.commands.options import AsJson, Config, Data
from participant.settings import settings_file
from participant.settings.config import ParticipantConfig
from participant.settings.passphrase import passphrase
from relay.api.bundle import Bundle
from relay.service.command import report
from relay.service.folders import private_folder, write_whole
from relay.service.logs import REDACTED
from relay.service.settings import SettingsError
from secagg.errors import ParameterError
from secagg.identity import key_words

app = typer.Typer()
config_app = typer.Typer(no_args_is_help=True, help="Check and show the settings.")
app.add_typer(config_app, name="config")

CA_FILE = "relay-ca.pem"
_IDENTIFYING = frozenset(
    {
        "relay", "data", "passphrase_file", "passphrase_command", "ca_file", "cert_file", "key_file", "proxy", "policy",
        "config",
    }
)  # fmt: skip


@app.command()
def enroll(
    token: Annotated[str | None, typer.Option(help="join token from the relay's operator")] = None,
    bundle: Annotated[Path | None, typer.Option(help="file from the relay's operator, instead of a token")] = None,
    name: Annotated[str | None, typer.Option(help="name of the site, as others will see it")] = None,
    relay: Annotated[str | None, typer.Option(help="address of the relay")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Generate this site's key and enrol it at a relay, with a token or a bundle.

    A bundle's relay settings go into the settings file, its certificates into the data folder.
    """
    from relay.client.enrolment import enrol  # noqa: PLC0415  # the other commands need no enrolment

    if bundle is not None and relay is not None:
        raise ParameterError("no relay is given; use --relay, or a bundle that names one with --bundle")
    found = None if bundle is None else Bundle.read(bundle, now=time.time())
    if token is None and (found is None or found.token is None):
        raise ParameterError("no join token is given; use --token, or a bundle that has one with --bundle")
    if name is None and (found is None or not found.label):
        raise ParameterError("no name is given; use --name")
    if found is not None:
        settings = _follow(found, data, config)
    else:
        settings = ParticipantConfig.load(relay=relay, data=data, config=config)
        settings.require_relay()
    joining = token if token is not None or found is None or found.token is None else found.token.get_secret_value()
    called = name if name is not None or found is None else found.label
    identity, site = asyncio.run(
        enrol(
            settings.identity,
            passphrase(settings, new=not settings.identity.exists()),
            settings.client,
            token=str(joining),
            name=str(called),
        )
    )
    words = key_words(identity.public)
    report(
        {"name": site.name, "key": identity.public.hex(), "words": words, "relay": settings.relay},
        f"enrolled as {site.name} at {settings.relay}\n"
        f"The relay's operator sees the same twelve words for this site; compare them by telephone:\n  {words}",
        as_json=as_json,
    )


def _follow(bundle: Bundle, data: Path | None, config: Path | None) -> ParticipantConfig:
    """Write a bundle's contents to the settings file and data folder, and return the settings."""
    path = settings_file.place(config)
    before = ParticipantConfig.load(data=data, config=path if path.is_file() else None)
    changes: dict[str, Any] = {"relay": bundle.relay}
    if data is not None:
        changes["data"] = data
    if bundle.ca is not None:
        target = private_folder(before.data) / CA_FILE
        write_whole(target, bundle.ca.encode("ascii"))
        changes["ca_file"] = target
    settings_file.write(path, changes)
    return ParticipantConfig.load(data=data, config=path)


@app.command()
def configure(
    relay: Annotated[str | None, typer.Option(help="address of the relay, https://...")] = None,
    data: Data = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="file with the identity's passphrase")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="CA certificates that the relay's must chain to")] = None,
    cert_file: Annotated[Path | None, typer.Option(help="client certificate, if the relay asks for one")] = None,
    key_file: Annotated[Path | None, typer.Option(help="private key of the client certificate")] = None,
    proxy: Annotated[str | None, typer.Option(help="HTTPS proxy, http://[user:password@]host:port")] = None,
    policy: Annotated[Path | None, typer.Option(help="TOML file with the site's rules")] = None,
    admin_port: Annotated[int | None, typer.Option(help="port for health and metrics, on localhost")] = None,
    unset: Annotated[list[str] | None, typer.Option(help="remove a setting from the file; may be repeated")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write the settings file. On a terminal, prompts for missing values; otherwise, changes only what is given.

    Writes nothing unless all of it is valid. Keep a proxy's password off the command line: answer the
    prompt, or name a file in SECAGG_PARTICIPANT_PROXY_FILE.
    """
    given: dict[str, Any] = {
        "relay": relay,
        "data": data,
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
    path = settings_file.place(config)
    settings_file.write(path, changes)
    report({"file": str(path), "changed": sorted(changes)}, f"written: {path}\nNext: doctor", as_json=as_json)


def _asked() -> dict[str, Any]:
    """Prompt for the settings that a site usually has; an empty answer keeps the present value."""
    questions = (
        ("relay", "the relay's address"),
        ("passphrase_file", "file with the identity's passphrase"),
        ("ca_file", "file with the relay's CA certificates, if its authority is private"),
        ("proxy", "HTTPS proxy, http://user:password@host:port, if any"),
        ("policy", "TOML file with the site's rules, unless the cautious defaults apply"),
    )
    answers = {name: typer.prompt(text, default="", show_default=False) for name, text in questions}
    return {
        name: Path(text) if name.endswith("_file") or name == "policy" else text
        for name, text in answers.items()
        if text
    }


@config_app.command("check")
def config_check(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Check all settings, whatever their source, and the files that they name. The exit code is 1 if one is invalid."""
    settings = ParticipantConfig.load(data=data, config=config)
    settings_file.check(settings)
    settings.require_relay()
    report({"valid": True, "file": str(settings_file.place(config))}, "the settings are valid", as_json=as_json)


@config_app.command("show")
def config_show(
    redacted: Annotated[bool, typer.Option("--redacted", help="also hide addresses and paths, for sharing")] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show every setting and where it comes from. Passphrases and passwords are never shown."""
    settings = ParticipantConfig.load(data=data, config=config)
    given = {"data"} if data is not None else set()
    shown = {
        name: {
            "value": _shown(name, getattr(settings, name), redacted=redacted),
            "from": _source(name, given, settings_file.place(config)),
        }
        for name in ParticipantConfig.model_fields
    }
    if as_json:
        report({"settings": shown}, "", as_json=True)
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
