"""Opens only the journal, which is enough to look at earlier runs, without a passphrase or a relay."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.journal.schema import TABLES
from relay.party.journal import Journal


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    """Open the journal in the coordinator's data folder while the block runs."""
    journal = Journal(folder, TABLES)
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from using this identity while the block runs; raises JournalError if one already does."""
    with opened(folder) as journal:
        journal.lock()
        yield
