"""Commands for the identity's key: enrol, rotate, deregister."""

import asyncio
from typing import Annotated

import typer

from coordinator.commands.options import CoordinatorOptions
from coordinator.journal.opening import alone
from coordinator.session.session import passphrase
from relay.client import enrolment
from relay.party import keystore
from relay.service.command import Commands
from secagg.errors import ParameterError
from secagg.identity import key_words

app = Commands()


@app.command("enroll")
def enroll(
    token: Annotated[str, typer.Option(help="join token for the role `coordinator`")],
    name: Annotated[str, typer.Option(help="name of this coordinator, as shown to the sites")],
    common: CoordinatorOptions,
    relay: Annotated[str | None, typer.Option(help="address of the relay")] = None,
) -> None:
    """Generate this coordinator's key and enrol it.

    SECAGG_COORDINATOR_PASSPHRASE_FILE names the file with the passphrase that protects the key.
    """
    settings = common.settings(relay=relay)
    settings.require_relay()
    secret = passphrase(settings, new=not settings.identity.exists())
    identity, site = asyncio.run(enrolment.enrol(settings.identity, secret, settings.client, token=token, name=name))
    words = key_words(identity.public)
    facts = {"name": site.name, "key": identity.public.hex(), "words": words}
    common.report(facts, f"enrolled as {site.name}\n  {words}")


@app.command("rotate-key")
def rotate_key(common: CoordinatorOptions) -> None:
    """Replace this coordinator's key in every project; each site's officer then confirms the new words.

    Stop all runs first. The old key is destroyed.
    """
    settings = common.settings()
    settings.require_relay()
    with alone(settings.data):
        identity = asyncio.run(enrolment.rotate(settings.identity, passphrase(settings), settings.client))
    words = key_words(identity.public)
    common.report({"key": identity.public.hex(), "words": words}, f"the new key's words:\n  {words}")


@app.command("deregister")
def deregister(
    common: CoordinatorOptions,
    confirm: Annotated[bool, typer.Option("--yes", help="confirm; this cannot be undone")] = False,
) -> None:
    """Leave the relay permanently: memberships end, and the key is revoked and destroyed."""
    settings = common.settings()
    settings.require_relay()
    if not confirm:
        raise ParameterError("deregistering ends all memberships and destroys the key; confirm with --yes")
    with alone(settings.data):
        identity = keystore.unlock(settings.identity, passphrase(settings))
        asyncio.run(enrolment.deregister(settings.identity, identity, settings.client))
    common.report({"key": identity.public.hex(), "destroyed": True}, "deregistered; the key is destroyed")
