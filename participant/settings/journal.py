"""Opens the journal alone, for a command that needs neither relay nor passphrase."""

from collections.abc import Iterator
from contextlib import contextmanager

from participant.records.ledger import TABLES
from participant.settings.config import ParticipantConfig
from relay.party.journal import Journal


@contextmanager
def opened(settings: ParticipantConfig) -> Iterator[Journal]:
    """Open the site's journal while the block runs; the daemon may keep running."""
    journal = Journal(settings.data, TABLES)
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def alone(settings: ParticipantConfig) -> Iterator[None]:
    """Keep the daemon from using this identity while the block runs; raises JournalError if one is running."""
    with opened(settings) as journal:
        journal.lock()
        yield
