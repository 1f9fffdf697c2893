"""Errors of a failing database: nothing was acknowledged, the request may be retried."""

from secagg.errors import SecaggError


class DatabaseUnavailableError(SecaggError):
    """The database cannot be reached or cannot be written; nothing was acknowledged."""


class DatabaseBusyError(DatabaseUnavailableError):
    """The write waited too long: another process holds a lock, or the disk is too slow."""


class DatabaseFullError(DatabaseUnavailableError):
    """The database's disk is full."""
