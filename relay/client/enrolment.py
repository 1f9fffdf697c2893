"""How a party gets its identity and its place at a relay, changes its key, and goes."""

from collections.abc import Callable
from pathlib import Path

from relay.api.wire import KEY_ROTATION
from relay.client.transport import RelayClient, Site
from relay.party import keystore
from secagg.identity import Identity


async def enrol(
    path: Path, passphrase: str, relay: Callable[[Identity], RelayClient], *, token: str, name: str
) -> tuple[Identity, Site]:
    """Draw an identity if there is none yet, and enrol it with a join token. Repeating it is harmless.

    Args:
        path: the key file.
        passphrase: seals the key, or opens the one that is there.
        relay: makes the client of an identity.
        token, name: as the operator gave the token, and how others will see this party.

    Raises:
        KeystoreError: the identity cannot be stored or opened.
        RelayError, RelayUnavailableError: the token is not valid, or the relay is not there.
    """
    identity = keystore.unlock_or_create(path, passphrase)
    async with relay(identity) as client:
        return identity, await client.enrol(token, name)


async def rotate(path: Path, passphrase: str, relay: Callable[[Identity], RelayClient]) -> Identity:
    """Let a fresh identity take the stored one's place, at the relay and then in the file. Repeating it is harmless.

    The fresh key waits beside the stored one until the relay has acknowledged it; who is killed in between repeats the
    command. The old key's file is destroyed.

    Args:
        path: the key file.
        passphrase: opens it, and seals the new one.
        relay: makes the client of an identity.

    Raises:
        KeystoreError: the identity cannot be opened or stored.
        RelayError: `conflict`, while a run counts on the old key.
        RelayUnavailableError: the relay is not there.
    """
    old = keystore.unlock(path, passphrase)
    waiting = path.with_name(f"{path.stem}.next{path.suffix}")
    fresh = keystore.unlock_or_create(waiting, passphrase)
    async with relay(fresh) as client:
        await client.succeed(old.public, old.sign(KEY_ROTATION, fresh.public))
    keystore.replace(path, waiting)
    return fresh


async def deregister(path: Path, identity: Identity, relay: Callable[[Identity], RelayClient]) -> None:
    """End a site at the relay, and then destroy its key. Repeating it is harmless.

    Raises:
        RelayUnavailableError: the relay is not there; the key is kept, so that this can be done again.
    """
    async with relay(identity) as client:
        await client.deregister(identity.public)
    keystore.destroy(path)
