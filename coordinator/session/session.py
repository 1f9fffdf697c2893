"""The session that commands and notebooks use: settings, identity, relay and journal of this coordinator."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from hashlib import sha256
from platform import node
from typing import TypeVar

import typer

from coordinator.journal import figures
from coordinator.journal.records import RunRecords
from coordinator.journal.schema import TABLES
from coordinator.session.config import CoordinatorConfig
from coordinator.session.mailbox import Mailbox
from coordinator.session.metrics import CoordinatorMetrics
from relay.client.transport import RelayClient
from relay.party import disk, keystore
from relay.party.disk import Disk
from relay.party.journal import Journal
from relay.service import logs
from secagg.errors import ParameterError
from secagg.identity import Identity

T = TypeVar("T")
log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """An open coordinator. Any number of runs share one session.

    Attributes:
        mail: one reader of what the relay has for this identity.
        holder: the name under which this folder on this machine holds leases of runs. A copy of the folder elsewhere
            has another name, so that the relay can tell them apart.
    """

    settings: CoordinatorConfig
    identity: Identity
    relay: RelayClient
    journal: Journal
    disk: Disk
    records: RunRecords
    mailbox: Mailbox
    metrics: CoordinatorMetrics
    holder: str


def in_session(settings: CoordinatorConfig, work: Callable[[Session], Awaitable[T]]) -> T:
    """Run a command's work in a session of its own."""
    logs.configure("coordinator", level=settings.log_level)

    async def inside() -> T:
        async with opened(settings, passphrase(settings)) as session:
            return await work(session)

    return asyncio.run(inside())


@asynccontextmanager
async def opened(settings: CoordinatorConfig, secret: str) -> AsyncIterator[Session]:
    """Unlock the identity, and open the journal and a connection to the relay."""
    async with at_work(settings, keystore.unlock(settings.identity, secret)) as session:
        yield session


@asynccontextmanager
async def at_work(settings: CoordinatorConfig, identity: Identity) -> AsyncIterator[Session]:
    """Open the journal and a connection to the relay for an unlocked identity."""
    journal = await disk.opened(settings.data, lambda: Journal(settings.data, TABLES))
    with closing(journal):
        async with settings.client(identity) as relay:
            own = Disk(journal, settings.data, settings.disk_reserve_bytes)
            own.fill()
            records, metrics = RunRecords(journal.connection), CoordinatorMetrics()
            metrics.watch_disk(own)
            mailbox = Mailbox(relay)
            try:
                yield Session(settings, identity, relay, journal, own, records, mailbox, metrics, _holder(settings))
            finally:
                if not metrics.exported:
                    _leave_figures(journal, metrics)


def _leave_figures(journal: Journal, metrics: CoordinatorMetrics) -> None:
    """Leave this process's counters to the one that stands; a full disk must not hide how the work ended."""
    try:
        figures.leave(journal, metrics.figures())
    except disk.ERRORS as error:
        log.warning("figures-not-left", detail=str(error))


def passphrase(settings: CoordinatorConfig, *, new: bool = False) -> str:
    """Return the identity's passphrase from the settings, or ask for it on a terminal, twice for a new one.

    Raises:
        ParameterError: there is none, and no terminal to ask on.
    """
    if secret := settings.passphrase.get_secret_value():
        return secret
    if sys.stdin.isatty():
        return str(typer.prompt("passphrase of the identity", hide_input=True, confirmation_prompt=new))
    raise ParameterError(
        "no passphrase is given: name a file that holds it with SECAGG_COORDINATOR_PASSPHRASE_FILE, "
        "or type the command on a terminal, which asks for it"
    )


def _holder(settings: CoordinatorConfig) -> str:
    place = settings.data.stat()
    return sha256(f"{node()} {place.st_dev} {place.st_ino}".encode()).hexdigest()[:32]
