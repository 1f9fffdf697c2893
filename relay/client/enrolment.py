"""A party's identity: creating it, enrolling it at a relay, rotating its key, and leaving."""

from collections.abc import Callable
from pathlib import Path

from relay.api.tokens import check_form
from relay.api.wire import KEY_ROTATION
from relay.client.transport import RelayClient, Site
from relay.party import keystore
from secagg.identity import Identity


async def enrol(
    path: Path, passphrase: str, relay: Callable[[Identity], RelayClient], *, token: str, name: str
) -> tuple[Identity, Site]:
    """Generate an identity if there is none yet, and enrol it with a join token. Safe to repeat.

    Args:
        path: the key file.
        passphrase: passphrase that seals a new key or opens the existing one.
        relay: makes the client for an identity.
        token, name: join token from the operator, and the name that others see.

    Raises:
        ParameterError: the token does not have the form of one.
        KeystoreError: the identity cannot be stored or opened.
        RelayError, RelayUnavailableError: the token is not valid, or the relay cannot be reached.
    """
    check_form(token)
    identity = keystore.unlock_or_create(path, passphrase)
    async with relay(identity) as client:
        return identity, await client.enrol(token, name)


async def rotate(path: Path, passphrase: str, relay: Callable[[Identity], RelayClient]) -> Identity:
    """Replace the stored identity with a fresh one, first at the relay and then in the file. Safe to repeat.

    The fresh key is kept beside the stored one until the relay has acknowledged it; after a crash in between, repeat
    the command. The old key's file is destroyed.

    Args:
        path: the key file.
        passphrase: passphrase that opens the key file and seals the new one.
        relay: makes the client for an identity.

    Raises:
        KeystoreError: the identity cannot be opened or stored.
        RelayError: `conflict` while a run depends on the old key.
        RelayUnavailableError: the relay cannot be reached.
    """
    old = keystore.unlock(path, passphrase)
    waiting = path.with_name(f"{path.stem}.next{path.suffix}")
    fresh = keystore.unlock_or_create(waiting, passphrase)
    async with relay(fresh) as client:
        await client.succeed(old.public, old.sign(KEY_ROTATION, fresh.public))
    keystore.replace(path, waiting)
    return fresh


async def deregister(path: Path, identity: Identity, relay: Callable[[Identity], RelayClient]) -> None:
    """End a site at the relay and then destroy its key. Safe to repeat.

    Raises:
        RelayUnavailableError: the relay cannot be reached; the key is kept, so that the command can be repeated.
    """
    async with relay(identity) as client:
        await client.deregister(identity.public)
    keystore.destroy(path)
