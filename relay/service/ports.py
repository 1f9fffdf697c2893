"""Ports that cannot be opened, named with the setting that chose them."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from relay.service.settings import SettingsError

_REASONS = {
    errno.EADDRINUSE: "another program listens on it; stop that one, or choose another port",
    errno.EACCES: "this user may not open it; ports below 1024 need a privilege",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
}


@contextmanager
def opening(setting: str, port: int) -> Iterator[None]:
    """Name the setting if its port cannot be opened inside the block.

    Raises:
        SettingsError: the port is in use, or may not be opened.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        raise SettingsError(f"{setting}: port {port} cannot be opened: {_REASONS[error.errno]}") from None
