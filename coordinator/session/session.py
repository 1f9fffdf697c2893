"""What commands and notebooks work with: settings, identity, relay and journal of this coordinator."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from platform import node
from typing import TypeVar

import typer

from coordinator.journal.records import RunRecords
from coordinator.journal.tables import TABLES
from coordinator.session.config import CoordinatorConfig
from coordinator.session.mailbox import Mailbox
from coordinator.session.metrics import CoordinatorMetrics
from relay.client.transport import RelayClient
from relay.party import keystore
from relay.party.journal import Journal
from relay.service import logs
from secagg.identity import Identity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """A coordinator at work. Any number of runs share one.

    Attributes:
        mail: one reader of what the relay has for this identity.
        holder: the name under which this folder on this machine holds leases of runs. A copy of the folder elsewhere
            has another one, so that the relay tells the two apart.
    """

    settings: CoordinatorConfig
    identity: Identity
    relay: RelayClient
    journal: Journal
    records: RunRecords
    mail: Mailbox
    metrics: CoordinatorMetrics
    holder: str


def in_office(data: Path | None, config: Path | None, work: Callable[[Session], Awaitable[T]]) -> T:
    """Do a command's work."""
    settings = CoordinatorConfig.load(data=data, config=config)
    logs.configure("coordinator", level=settings.log_level)

    async def inside() -> T:
        async with opened(settings, passphrase(settings)) as office:
            return await work(office)

    return asyncio.run(inside())


@asynccontextmanager
async def opened(settings: CoordinatorConfig, secret: str) -> AsyncIterator[Session]:
    """Open the identity by its passphrase, the journal, and a connection to the relay."""
    async with at_work(settings, keystore.unlock(settings.identity, secret)) as office:
        yield office


@asynccontextmanager
async def at_work(settings: CoordinatorConfig, identity: Identity) -> AsyncIterator[Session]:
    """Open the journal and a connection to the relay for an identity that is open."""
    with journal_of(settings) as journal:
        async with settings.client(identity) as relay:
            records = RunRecords(journal.connection)
            yield Session(
                settings, identity, relay, journal, records, Mailbox(relay), CoordinatorMetrics(), _holder(settings)
            )


@contextmanager
def journal_of(settings: CoordinatorConfig) -> Iterator[Journal]:
    """Open the journal alone: enough to look at earlier runs, without a passphrase."""
    journal = Journal(settings.data, TABLES)
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def alone(settings: CoordinatorConfig) -> Iterator[None]:
    """Keep runs from working with this identity meanwhile; raises JournalError where it does already."""
    with journal_of(settings) as journal:
        journal.lock()
        yield


def passphrase(settings: CoordinatorConfig) -> str:
    """Return the identity's passphrase from the settings, or ask for it where a person sits there."""
    secret = settings.passphrase.get_secret_value()
    if not secret and sys.stdin.isatty():
        return str(typer.prompt("passphrase of the identity", hide_input=True))
    return secret


def _holder(settings: CoordinatorConfig) -> str:
    place = settings.data.stat()
    return sha256(f"{node()} {place.st_dev} {place.st_ino}".encode()).hexdigest()[:32]
