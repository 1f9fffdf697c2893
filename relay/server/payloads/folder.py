"""The blob folder: each payload is a file, in one of 256 subfolders by the first byte of its ID."""

import asyncio
import errno
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import file_digest
from pathlib import Path
from uuid import UUID
from weakref import WeakValueDictionary

from relay.server.payloads.payload_store import READ_BYTES, BlobBusyError, Piece, StorageError, Stored
from relay.service.crashpoints import crashpoint
from relay.service.folders import private_folder

_FULL = {errno.ENOSPC, errno.EDQUOT}


class BlobFolder:
    """Payload bytes in one folder, which replicas on one file system may share.

    See `relay.server.payloads.payload_store.Blobs`.

    Args:
        root: folder, created if missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = private_folder(root)
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self.failure: str | None = None

    @asynccontextmanager
    async def writing(self, blob: UUID) -> AsyncIterator["FolderWriter"]:
        """Hold the file's lock: a second writer waits within this process, and is refused in another one."""
        path = self._path(blob)
        async with self._turns.setdefault(blob, asyncio.Lock()):
            handle = await asyncio.to_thread(self._open, path)
            try:
                yield FolderWriter(self, handle, path)
            finally:
                os.close(handle)  # releases the lock, as the end of the process would

    async def holds(self, blob: UUID) -> bool:
        """Return whether any bytes of a payload are stored."""
        return await asyncio.to_thread(self._path(blob).exists)

    async def digest(self, blob: UUID, pieces: Sequence[Piece]) -> bytes:
        """Return the SHA-256 of a whole file."""
        del pieces
        return await asyncio.to_thread(_digest, self._path(blob))

    async def read(self, blob: UUID, pieces: Sequence[Piece], start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`."""
        del pieces
        with self._path(blob).open("rb", buffering=0) as file:
            file.seek(start)
            while start < stop:
                try:
                    piece = await asyncio.to_thread(file.read, min(READ_BYTES, stop - start))
                except OSError as error:
                    raise StorageError(f"the file of payload {blob} cannot be read: {error.strerror}") from error
                if not piece:
                    raise StorageError(f"the file of payload {blob} is shorter than the size recorded in the database")
                yield piece
                start += len(piece)

    async def discard(self, blob: UUID, pieces: Sequence[Piece]) -> None:
        """Remove a file if it exists."""
        del pieces
        await asyncio.to_thread(self._path(blob).unlink, missing_ok=True)

    async def stored(self) -> AsyncIterator[Stored]:
        """Yield all files."""
        for folder in sorted(self._root.iterdir()):
            for found in await asyncio.to_thread(_files, folder):
                yield found

    async def remove(self, name: str) -> None:
        """Remove one file."""
        await self.discard(UUID(name), ())

    def free_bytes(self) -> int:
        """Return the free space of the folder's disk."""
        return shutil.disk_usage(self._root).free

    def sync(self, handle: int) -> None:
        """Make a file's bytes durable.

        After an error the system may have dropped unwritten data, yet report success on the next attempt; so this
        process acknowledges nothing more.
        """
        if self.failure is not None:
            raise StorageError(self.failure)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in _FULL:  # a full disk loses nothing acknowledged: each piece had its own sync
                self.failure = f"the disk failed to store a payload ({error.strerror}); check it and restart the relay"
            raise

    def sync_name(self, path: Path) -> None:
        """Make the names of a file and its subfolder durable: their creator may have been killed before doing so."""
        for folder in (self._root, path.parent):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self.sync(handle)
            finally:
                os.close(handle)

    def _path(self, blob: UUID) -> Path:
        return self._root / blob.hex[:2] / blob.hex

    def _open(self, path: Path) -> int:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise BlobBusyError from None
        return handle


class FolderWriter:
    """The holder of a file's lock. See `relay.server.payloads.payload_store.Writer`."""

    def __init__(self, folder: BlobFolder, handle: int, path: Path) -> None:
        self._folder = folder
        self._handle = handle
        self._path = path

    async def write(self, offset: int, data: bytes) -> None:
        """Write a piece at its offset; durable when this returns."""
        await asyncio.to_thread(self._write, os.dup(self._handle), offset, data)

    def _write(self, handle: int, offset: int, data: bytes) -> None:
        """Write in a thread with its own handle, as the request may be cancelled meanwhile. The lock is shared."""
        first = offset == 0
        try:
            rest = memoryview(data)
            while rest:
                written = os.pwrite(handle, rest, offset)
                rest, offset = rest[written:], offset + written
            crashpoint("relay.blob-before-fsync")
            self._folder.sync(handle)
            if first:
                self._folder.sync_name(self._path)
            crashpoint("relay.blob-after-fsync")
        finally:
            os.close(handle)


def _digest(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file_digest(file, "sha256").digest()


def _files(folder: Path) -> list[Stored]:
    ours = [path for path in folder.glob("*") if len(path.name) == 32]  # ignore foreign files
    return [Stored(path.name, UUID(path.name), path.stat().st_mtime) for path in ours]
