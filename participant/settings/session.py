"""The resources of a command: identity, relay and journal."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from participant.settings.config import ParticipantConfig
from participant.settings.journal import opened
from participant.settings.passphrase import passphrase
from relay.client.transport import RelayClient
from relay.party import keystore
from relay.party.journal import Journal
from secagg.identity import Identity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SiteSession:
    """The resources of one command."""

    identity: Identity
    relay: RelayClient
    journal: Journal


def unlocked(settings: ParticipantConfig) -> Identity:
    """Return the site's identity."""
    return keystore.unlock(settings.identity, passphrase(settings))


def in_session(settings: ParticipantConfig, work: Callable[[SiteSession], Awaitable[T]]) -> T:
    """Run `work` with a connection to the relay and return its result."""

    async def inside() -> T:
        identity = unlocked(settings)
        with opened(settings) as journal:
            async with settings.client(identity, give_up_after_s=20) as relay:
                return await work(SiteSession(identity, relay, journal))

    return asyncio.run(inside())
