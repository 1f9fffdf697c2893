"""The beginning and the end of this site's key at a relay: enrol, deregister."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from participant.commands.options import SiteOptions
from participant.settings import settings_file, settings_writer
from participant.settings.config import ParticipantConfig
from participant.settings.journal import alone
from participant.settings.passphrase import passphrase
from relay.api.bundle import Bundle
from relay.client import enrolment
from relay.party import keystore
from relay.service.command import Commands
from relay.service.folders import private_folder, write_whole
from secagg.errors import ParameterError
from secagg.identity import key_words

app = Commands()

CA_FILE = "relay-ca.pem"


@app.command("enroll")
def enroll(
    common: SiteOptions,
    token: Annotated[str | None, typer.Option(help="join token from the relay's operator")] = None,
    bundle: Annotated[Path | None, typer.Option(help="file from the relay's operator, instead of a token")] = None,
    name: Annotated[str | None, typer.Option(help="name of the site, as others will see it")] = None,
    relay: Annotated[str | None, typer.Option(help="address of the relay")] = None,
) -> None:
    """Generate this site's key and enrol it at a relay, with a token or a bundle.

    A bundle's relay settings go into the settings file, its certificates into the data folder.
    """
    if bundle is not None and relay is not None:
        raise ParameterError("no relay is given; use --relay, or a bundle that names one with --bundle")
    found = None if bundle is None else Bundle.read(bundle, now=time.time())
    if token is None and (found is None or found.token is None):
        raise ParameterError("no join token is given; use --token, or a bundle that has one with --bundle")
    if name is None and (found is None or not found.label):
        raise ParameterError("no name is given; use --name")
    if found is not None:
        settings = _follow(found, common)
    else:
        settings = common.settings(relay=relay)
        settings.require_relay()
    joining = token if token is not None or found is None or found.token is None else found.token.get_secret_value()
    called = name if name is not None or found is None else found.label
    identity, site = asyncio.run(
        enrolment.enrol(
            settings.identity,
            passphrase(settings, new=not settings.identity.exists()),
            settings.client,
            token=str(joining),
            name=str(called),
        )
    )
    words = key_words(identity.public)
    common.report(
        {"name": site.name, "key": identity.public.hex(), "words": words, "relay": settings.relay},
        f"enrolled as {site.name} at {settings.relay}\n"
        f"The relay's operator sees the same twelve words for this site; compare them by telephone:\n  {words}",
    )


@app.command("deregister")
def deregister(
    common: SiteOptions,
    confirm: Annotated[bool, typer.Option("--yes", help="confirm; this cannot be undone")] = False,
) -> None:
    """Leave the relay for good: ends all memberships, revokes the key and destroys it here."""
    settings = common.settings()
    settings.require_relay()
    if not confirm:
        raise ParameterError("this ends all memberships and destroys the key; to confirm, add --yes")
    with alone(settings):
        identity = keystore.unlock(settings.identity, passphrase(settings))
        asyncio.run(enrolment.deregister(settings.identity, identity, settings.client))
    common.report({"key": identity.public.hex(), "destroyed": True}, "deregistered; the key is destroyed")


def _follow(bundle: Bundle, common: SiteOptions) -> ParticipantConfig:
    """Write a bundle's contents to the settings file and data folder, and return the settings."""
    path = settings_file.place(common.config)
    before = common.with_config(path if path.is_file() else None).settings()
    changes: dict[str, Any] = {"relay": bundle.relay}
    if common.data is not None:
        changes["data"] = common.data
    if bundle.ca is not None:
        target = private_folder(before.data) / CA_FILE
        write_whole(target, bundle.ca.encode("ascii"))
        changes["ca_file"] = target
    settings_writer.write(path, changes)
    return common.with_config(path).settings()
