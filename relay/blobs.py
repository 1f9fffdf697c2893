"""The blob folder: payloads as files, written piece by piece, with constant memory at any size.

The database says how many bytes of a file count; what a file has beyond that is left from a crash and will be written
over. A piece is on the disk before the database counts it, so an acknowledged byte is never lost.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from hashlib import file_digest
from pathlib import Path
from uuid import UUID
from weakref import WeakValueDictionary

from relay.service.crashpoints import crashpoint
from relay.service.folders import private_folder, sync_folder

READ_BYTES = 256 << 10


class BlobFolder:
    """Payload bytes under one folder, 256 subfolders by the first byte of the ID.

    Args:
        root: the folder; made where it is missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = private_folder(root)
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    def lock(self, blob: UUID) -> asyncio.Lock:
        """Return the lock under which one payload is written; of two pieces at once, one waits for the other."""
        return self._locks.setdefault(blob, asyncio.Lock())

    def free_bytes(self) -> int:
        """Return the free space of the folder's disk."""
        return shutil.disk_usage(self._root).free

    async def write(self, blob: UUID, offset: int, data: bytes) -> None:
        """Put a piece at its place; it is durable when this returns.

        Raises:
            OSError: it could not be written; nothing may be acknowledged.
        """
        await asyncio.to_thread(self._write, self._path(blob), offset, data)

    async def holds(self, blob: UUID) -> bool:
        """Tell whether there is anything of a payload."""
        return await asyncio.to_thread(self._path(blob).exists)

    async def digest(self, blob: UUID) -> bytes:
        """Return the SHA-256 of a whole file."""
        return await asyncio.to_thread(_digest, self._path(blob))

    async def read(self, blob: UUID, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop` in pieces."""
        with self._path(blob).open("rb", buffering=0) as file:
            file.seek(start)
            while start < stop:
                piece = await asyncio.to_thread(file.read, min(READ_BYTES, stop - start))
                if not piece:
                    raise OSError(f"the file of payload {blob} is shorter than the database says")
                yield piece
                start += len(piece)

    async def discard(self, blob: UUID) -> None:
        """Remove a file, if it is there."""
        await asyncio.to_thread(self._path(blob).unlink, missing_ok=True)

    def _path(self, blob: UUID) -> Path:
        return self._root / blob.hex[:2] / blob.hex

    def _write(self, path: Path, offset: int, data: bytes) -> None:
        if not path.exists():
            self._create(path)
        handle = os.open(path, os.O_WRONLY)
        try:
            _write_all(handle, offset, data)
            crashpoint("relay.blob-before-fsync")
            os.fsync(handle)
        finally:
            os.close(handle)
        crashpoint("relay.blob-after-fsync")

    def _create(self, path: Path) -> None:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self._root)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        sync_folder(path.parent)


def _write_all(handle: int, offset: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(handle, rest, offset)
        rest, offset = rest[written:], offset + written


def _digest(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file_digest(file, "sha256").digest()
