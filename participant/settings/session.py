"""What commands work with: identity, relay and journal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from participant.records.ledger import TABLES
from participant.settings.config import ParticipantConfig
from participant.settings.passphrase import passphrase
from relay.client.transport import RelayClient
from relay.party import keystore
from relay.party.journal import Journal
from secagg.identity import Identity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SiteSession:
    """What a command works with."""

    identity: Identity
    relay: RelayClient
    journal: Journal


def in_office(data: Path | None, config: Path | None, work: Callable[[SiteSession], Awaitable[T]]) -> T:
    """Run `work` with a connection to the relay and return its result."""
    settings = ParticipantConfig.load(data=data, config=config)

    async def inside() -> T:
        async with _open(settings) as office:
            return await work(office)

    return asyncio.run(inside())


@contextmanager
def opened_journal(data: Path | None, config: Path | None) -> Iterator[Journal]:
    """Open the site's journal for a command that needs neither relay nor passphrase; the daemon may keep running."""
    journal = Journal(ParticipantConfig.load(data=data, config=config).data, TABLES)
    try:
        yield journal
    finally:
        journal.close()


@asynccontextmanager
async def _open(settings: ParticipantConfig) -> AsyncIterator[SiteSession]:
    identity = unlocked(settings)
    journal = Journal(settings.data, TABLES)
    try:
        async with settings.client(identity, give_up_after_s=20) as relay:
            yield SiteSession(identity, relay, journal)
    finally:
        journal.close()


def unlocked(settings: ParticipantConfig) -> Identity:
    """Return the site's identity."""
    return keystore.unlock(settings.identity, passphrase(settings))


@contextmanager
def alone(settings: ParticipantConfig) -> Iterator[None]:
    """Keep the daemon from using this identity meanwhile; raises JournalError if one is running."""
    journal = Journal(settings.data, TABLES)
    try:
        journal.lock()
        yield
    finally:
        journal.close()
