"""How a party gets its identity and its place at a relay."""

from pathlib import Path

from relay.client import keystore
from relay.client.transport import RelayClient, Site
from secagg.identity import Identity


async def enrol(
    path: Path, passphrase: str, *, url: str, token: str, name: str, ca_file: Path | None, proxy: str | None
) -> tuple[Identity, Site]:
    """Draw an identity if there is none yet, and enrol it with a join token. Repeating it is harmless.

    Raises:
        KeystoreError: the identity cannot be stored or opened.
        RelayError, RelayUnavailableError: the token is not valid, or the relay is not there.
    """
    identity = keystore.unlock_or_create(path, passphrase)
    async with RelayClient(url, identity, ca_file=ca_file, proxy=proxy) as relay:
        return identity, await relay.enrol(token, name)
