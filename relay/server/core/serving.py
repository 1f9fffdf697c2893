"""The mark of a serving relay in its data folder, a lock that ends with its process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secagg.errors import ParameterError

_NAME = "serving"


@contextmanager
def serving(data: Path) -> Iterator[None]:
    """Mark the folder's relay as serving while the block runs."""
    with _locked(data, fcntl.LOCK_SH):
        yield


@contextmanager
def stopped(data: Path) -> Iterator[None]:
    """Keep the folder's relay from serving while the block runs; raises ParameterError if it already does."""
    with _locked(data, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def _locked(data: Path, kind: int) -> Iterator[None]:
    handle = os.open(data / _NAME, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, kind)
        yield
    except BlockingIOError:
        raise ParameterError(f"a relay is serving from {data}; stop it first") from None
    finally:
        os.close(handle)
