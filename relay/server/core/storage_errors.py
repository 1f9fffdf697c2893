"""What a failing database means to a request: nothing was acknowledged, come again."""

from secagg.errors import SecaggError


class DatabaseUnavailableError(SecaggError):
    """The database cannot be reached or cannot write now; nothing was acknowledged."""


class DatabaseBusyError(DatabaseUnavailableError):
    """The turn to write did not come in time: another process holds a lock, or the disk is too slow."""


class DatabaseFullError(DatabaseUnavailableError):
    """The database's disk is full."""
