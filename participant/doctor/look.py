"""Resources shared by the checks of one examination, each fetched once."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from participant.doctor.connection_health import ConnectionHealth
from participant.records.ledger import TABLES
from participant.settings.config import ParticipantConfig
from participant.settings.passphrase import passphrase
from relay.party import keystore
from relay.party.journal import FILE_NAME, Journal
from secagg.errors import ParameterError
from secagg.identity import Identity


class MissingError(ParameterError):
    """Something to be checked does not exist yet; the message says how to create it."""


class Look:
    """One examination of a site."""

    def __init__(self, settings: ParticipantConfig) -> None:
        self.settings = settings

    @cached_property
    def identity(self) -> Identity:
        """The site's identity; raises KeystoreError and PassphraseError."""
        return keystore.unlock(self.settings.identity, passphrase(self.settings))

    @cached_property
    def health(self) -> ConnectionHealth:
        """The path to the relay, probed once; raises ParameterError if no relay is configured."""
        self.settings.require_relay()
        return ConnectionHealth.tried(self.settings)

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """Open the journal without ever creating it; raises MissingError."""
        if not (self.settings.data / FILE_NAME).is_file():
            raise MissingError("there is no journal yet; the daemon creates it at its first start")
        journal = Journal(self.settings.data, TABLES)
        try:
            yield journal
        finally:
            journal.close()
