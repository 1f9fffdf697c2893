"""A party's disk when it is full or fails for a while: which errors say so, the wait, and a reserve.

Such an outage is nobody's defect and ends no run. The party stops at the error, waits until the disk takes writes
again, and continues from its journal, as after a restart: what was not committed never happened.

The reserve is a file of a fixed size that holds nothing. It is given up when the disk is full, so that runs in progress
can end and their secrets are erased, and is made again once there is room.
"""

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from relay.party.journal import Journal
from relay.service.logs import logger
from secagg.errors import SecaggError

RESERVE_BYTES = 16 << 20
RESERVE_NAME = "reserve"
LOOK_S = 2.0
"""Interval at which a party tries whether the disk takes writes again."""

FULL = "the disk is full"
FAILS = "the disk fails"

ERRORS = (OSError, sqlite3.Error)
"""What a disk's trouble is raised as, among other things: see `trouble`."""

_ERRNO = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,  # a limit on the size of files
    errno.EIO: FAILS,
    errno.EROFS: FAILS,  # a file system is often remounted read-only after an error
}
_SQLITE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR: FAILS,
    sqlite3.SQLITE_READONLY: FAILS,
    sqlite3.SQLITE_CANTOPEN: FAILS,  # its log or temporary file cannot be created
}

log = logger(__name__)
T = TypeVar("T")


class DiskError(SecaggError):
    """The disk is full or fails; what was to be written may be tried again."""


def trouble(error: BaseException) -> str | None:
    """Return what an error says about the disk, in words; None if it is about something else."""
    if isinstance(error, sqlite3.Error):
        return _SQLITE.get((getattr(error, "sqlite_errorcode", None) or 0) & 0xFF)
    return _ERRNO.get(error.errno or 0) if isinstance(error, OSError) else None


async def opened(folder: Path, attempt: Callable[[], Journal]) -> Journal:
    """Open a journal in a folder, waiting while its disk takes no writes; other errors pass."""
    while True:
        try:
            return attempt()
        except ERRORS as error:
            if (found := trouble(error)) is None:
                raise
            log.error("disk-trouble", detail=f"{found}: {error}")
        (folder / RESERVE_NAME).unlink(missing_ok=True)
        await asyncio.sleep(LOOK_S)


class Disk:
    """The disk of one party's data folder.

    Args:
        journal: the party's journal.
        folder: data folder.
        reserve_bytes: size of the reserve; 0 for none.

    Attributes:
        trouble: what is wrong with the disk, in words, or None. While it is set, nothing may be committed.
    """

    def __init__(self, journal: Journal, folder: Path, reserve_bytes: int) -> None:
        self.trouble: str | None = None
        self._journal = journal
        self._reserve = folder / RESERVE_NAME
        self._reserve_bytes = reserve_bytes

    @property
    def state(self) -> str | None:
        """What an operator should know: the trouble, or that the reserve is in use; None if all is well."""
        if self.trouble or not self._reserve_bytes or self._reserve.exists():
            return self.trouble
        return f"{FULL}; the reserve is in use"

    def fill(self) -> None:
        """Make the reserve unless it is there or the disk has too little room for it."""
        if not self._reserve_bytes or self._reserve.exists():
            return
        if shutil.disk_usage(self._reserve.parent).free < 2 * self._reserve_bytes:
            return
        handle = os.open(self._reserve, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(handle, 0, self._reserve_bytes)
        except OSError:
            self._reserve.unlink()
        finally:
            os.close(handle)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turn errors of the disk inside the block into DiskError and set `trouble`; other errors pass unchanged."""
        if self.trouble:
            raise DiskError(self.trouble)
        try:
            yield
        except ERRORS as error:
            found = trouble(error)
            if found is None:
                raise
            self.trouble = found
            raise DiskError(f"{found}: {error}") from error

    async def persist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what work returns; begin it again after each wait for the disk."""
        while True:
            try:
                with self.watched():
                    return await work()
            except DiskError:
                await self.outlast()

    async def outlast(self) -> None:
        """Wait until the disk takes writes again. Whatever was in memory must then be read from the journal again."""
        log.error("disk-trouble", detail=self.trouble)
        while self.trouble:
            self._reserve.unlink(missing_ok=True)
            try:
                self._journal.revive()
            except ERRORS as error:
                if (found := trouble(error)) is None:
                    raise
                self.trouble = found
                await asyncio.sleep(LOOK_S)
            else:
                self.trouble = None
        log.info("disk-works-again")
